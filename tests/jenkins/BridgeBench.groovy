import groovy.json.JsonOutput
import org.junit.Test

/** The cost of one call of the library without the engine; tests/bench/bridge.py runs it and prints the figures. */
class BridgeBench extends LibraryTest {
    static final int CALLS = 20
    static final Map CREDENTIAL = [credentialsId: 'registry', kind: 'string', variables: [text: 'PIPER_token']]

    BridgeBench() { sandboxed = true }

    @Test void 'calls that need no credential, one of the plan, and one that the engine asks for'() {
        measure([[:]] * CALLS, 'imagePushToRegistry script: this')       // warms the machine up
        jenkins.credentials.registry = [text: 'boundt0ken']
        Map asking = [status: 'bind', bindings: [CREDENTIAL]]
        Map figures = [
            'no credential': measure([[:]] * CALLS, "imagePushToRegistry script: this, token: 'hunter2hunter2'"),
            'a credential that the plan names': measure([[:]] * CALLS, "towline script: this, step: 'imagePushToRegistry', bindings: ${CREDENTIAL.inspect()}".replace('bindings: [', 'bindings: [[') + ']'),
            'a credential that the engine asks for': measure([asking, [:]] * CALLS, "imagePushToRegistry script: this, token: 'hunter2hunter2'")]
        new File('build/bench-bridge.json').text = JsonOutput.toJson(figures)
    }

    /** Steps of one call that is not the first of its build, and seconds per call in `sh` and outside of it. */
    Map measure(List<Map> answers, String call) {
        CpsHarness harness = answering(answers as Map[])
        int before = jenkins.record.calls.count { it.name == 'towline' } as int
        long began = System.nanoTime(), waited = jenkins.now
        harness.run("for (int i = 0; i < $CALLS; i++) { $call }")
        double seconds = (System.nanoTime() - began) / 1e9d, inside = (jenkins.now - waited) / 1e3d
        return [steps: jenkins.record.perCall('towline')[before + 1], shell: inside / CALLS, added: (seconds - inside) / CALLS]
    }
}
