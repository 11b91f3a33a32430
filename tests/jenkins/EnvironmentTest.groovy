import org.junit.Test

/** vars/towlineEnvironment.groovy: alone, and beside Piper's library. */
class EnvironmentTest extends LibraryTest {
    EnvironmentTest() { sandboxed = true }

    /** The methods of Piper's own var that ours relies on. */
    static final String PIPER = '''class commonPipelineEnvironment implements Serializable {
            Map known = ['container/imageNameTag': 'piper:1', artifactVersion: '1.0', 'custom/theirs': 't']
            List seen = []
            Map getCPEMap(script) { script.echo('read'); return new HashMap(known) }
            void setCPEMap(script, Map changes) { script.echo('written'); seen.add(changes); known.putAll(changes) }
        }'''

    @Test void 'values come back as they were set, over steps'() {
        assert answering().run("""towlineEnvironment.set('a', 'text'); towlineEnvironment.set('b/c', [1, true, [k: 'v']])
            echo 'restart'
            return [towlineEnvironment.get('a'), towlineEnvironment.get('b/c'), towlineEnvironment.get('none')]""") == ['text', [1, true, [k: 'v']], null]
    }

    @Test void 'a merge keeps what it does not name, and what is handed out is a copy'() {
        assert answering().run("""towlineEnvironment.set('a', 1)
            towlineEnvironment.merge([b: 2]); towlineEnvironment.merge(null)
            towlineEnvironment.all().put('c', 3)
            return towlineEnvironment.all(this)""") == [a: 1, b: 2]
    }

    @Test void 'what Piper knows lies underneath ours'() {
        CpsHarness h = answering()
        h.addVar('commonPipelineEnvironment', PIPER)
        h.run("towlineEnvironment.set('artifactVersion', '2.0'); imagePushToRegistry script: this")
        assert engine.request().pipelineEnvironment == ['container/imageNameTag': 'piper:1', artifactVersion: '2.0', 'custom/theirs': 't']
    }

    @Test void 'what Piper alone knows is named as unproven, also where it is what ours was before'() {
        CpsHarness h = answering([pipelineEnvironment: ['container/imageNameTag': 'pushed:1']], [:])
        h.addVar('commonPipelineEnvironment', PIPER)
        h.run("""String key = 'artifact'
            towlineEnvironment.set("\${key}Version", '1.0')
            imagePushToRegistry script: this
            commonPipelineEnvironment.known['container/imageNameTag'] = 'changed:1'
            gitOpsUpdateDeployment script: this""")
        assert engine.request(0).unproven as Set == ['container/imageNameTag', 'custom/theirs'] as Set
        assert engine.request(1).unproven == ['custom/theirs']
        assert engine.request(1).pipelineEnvironment['container/imageNameTag'] == 'pushed:1'
    }

    @Test void 'a secret that Piper alone knows is named, too, and stays out of the request'() {
        CpsHarness h = answering()
        h.addVar('commonPipelineEnvironment', "class commonPipelineEnvironment implements Serializable { Map getCPEMap(script) { return ['container/repositoryPassword': 'stagingpa55'] } }")
        h.run('imagePushToRegistry script: this')
        assert engine.request().unproven == ['container/repositoryPassword']
        assert !engine.requestText().contains('stagingpa55')
    }

    @Test void 'what the engine changed is handed over to Piper, and nothing else'() {
        CpsHarness h = answering([pipelineEnvironment: ['container/targetImageNameTag': 'app:1']], [:])
        h.addVar('commonPipelineEnvironment', PIPER)
        assert h.run("""towlineEnvironment.set('own', 'x')
            imagePushToRegistry script: this; gitOpsUpdateDeployment script: this
            return commonPipelineEnvironment.seen""") == [['container/targetImageNameTag': 'app:1']]
    }

    @Test void 'the handle of a secret is not handed over to Piper, whose steps would take it for the secret'() {
        String handle = 'towline-secret:' + '0f' * 16
        CpsHarness h = answering([pipelineEnvironment: ['container/repositoryPassword': handle, 'container/repositoryUsername': 'bob']], [:])
        h.addVar('commonPipelineEnvironment', PIPER)
        assert h.run('imagePushToRegistry script: this; gitOpsUpdateDeployment script: this; return commonPipelineEnvironment.seen') ==
            [['container/repositoryUsername': 'bob']]
        assert engine.request(1).pipelineEnvironment['container/repositoryPassword'] == handle
        assert engine.request(1).unproven as Set == ['container/imageNameTag', 'artifactVersion', 'custom/theirs'] as Set
    }

    @Test void 'a fault inside of Piper is not taken for its absence'() {
        CpsHarness h = answering()
        h.addVar('commonPipelineEnvironment', 'class commonPipelineEnvironment implements Serializable { Map getCPEMap(script) { return script.noSuchThing } }')
        assert failure(h, 'imagePushToRegistry script: this').contains('noSuchThing')
    }
}
