import org.junit.After
import org.junit.Before
import org.junit.Rule
import org.junit.rules.TemporaryFolder

/** Shared by the tests of the library: a temporary Jenkins, and a program in the engine's place. */
abstract class LibraryTest {
    @Rule public TemporaryFolder tmp = new TemporaryFolder()
    StepBackend jenkins
    FakeEngine engine
    /** Whether Jenkinsfile and library run in the sandbox. */
    boolean sandboxed = CpsHarness.SANDBOXED
    private int engines = 0

    @Before void startJenkins() { jenkins = new StepBackend(tmp.root) }

    /** A test that fails leaves no process behind either. */
    @After void stopJenkins() { ShellStep.kill('KILL', jenkins.processes) }

    CpsHarness answering(Map... answers) {
        engine = new FakeEngine(new File(tmp.root, "engine-${++engines}"), (answers ?: [[:]]) as List<Map>)
        jenkins.agent.TOWLINE_ENGINE = engine.program.path
        return new CpsHarness(jenkins, sandboxed)
    }

    /** The message with which the Jenkinsfile fails. */
    static String failure(CpsHarness harness, String jenkinsfile) {
        return failure { harness.run(jenkinsfile) }
    }

    static String failure(Closure<Object> run) {
        try {
            run()
        } catch (Exception e) {          // Jenkins' AbortException is an IOException
            return e.message
        }
        throw new AssertionError('the Jenkinsfile did not fail' as Object)
    }

    /** The texts that are searched for secrets: the whole record of the build, and the requests to the engine. */
    SecretSearch recorded() {
        SecretSearch search = jenkins.search()
        search.places.requests = (0..<engine.calls).collect { engine.requestText(it) }
        search.places.arguments = (0..<engine.calls).collectMany { engine.arguments(it) }
        return search
    }

    void assertNothingIsLeft() {
        assert !jenkins.temporary().exists() || jenkins.temporary().list().length == 0
        assert jenkins.workspace.list().length == 0
    }
}
