import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException
import org.junit.Test

/** Agents of the harness: their workspaces, the end of a script if the build is aborted, and of the build if its agent is lost. */
class AgentTest extends LibraryTest {

    /** A shell text that starts a tree of processes, one of them in the background, and then does `last`. */
    String tree(String last) { "#!/bin/sh\\n(sleep 600 & sleep 600) & : > $tmp.root/runs; $last" }

    private void abortOnceItRuns() { jenkins.abortWhen = { new File(tmp.root, 'runs').exists() } }

    @Test void 'all nodes share a workspace, or each has a machine of its own'() {
        String twice = """List seen = []
            for (String n in ['a', 'b']) { node(n) { seen << fileExists('x'); writeFile file: 'x', text: ''; seen << env.WORKSPACE } }
            return seen"""
        assert answering().runWithoutNode(twice) == [false, jenkins.workspace.path, true, jenkins.workspace.path]
        jenkins = new StepBackend(tmp.newFolder('again'))
        jenkins.freshAgents = true
        List seen = answering().runWithoutNode(twice) as List
        assert seen[0] == false && seen[2] == false && seen[1] != seen[3]
        assert jenkins.agents*.label == ['a', 'b'] && jenkins.agents*.workspace*.path == [seen[1], seen[3]]
        assert jenkins.agents*.variables*.HOME.unique().size() == 2
    }

    @Test void 'an abort stops the whole tree of processes, and the step ends as interrupted'() {
        CpsHarness h = answering()
        abortOnceItRuns()
        try {
            h.run("try { sh '${tree('sleep 600')}' } finally { echo 'cleaned' }")
            assert false
        } catch (FlowInterruptedException e) {
            assert e.result == 'ABORTED' && e.causes[0].shortDescription == 'Aborted by ann'
        }
        assert jenkins.processes == []
        assert jenkins.log.containsAll(['Sending interrupt signal to process\n', 'script returned exit code 143\n', 'cleaned'])
        assert jenkins.build.result == 'ABORTED'
        assertNothingIsLeft()
    }

    @Test void 'a script that ends well although it was told to stop ends the step well, as in Jenkins'() {
        CpsHarness h = answering()
        abortOnceItRuns()
        assert h.run("return sh(returnStdout: true, script: '${tree('trap "echo result; exit 0" TERM; while :; do sleep 0.1; done')}')") == 'result\n'
        assert jenkins.build.result == null
    }

    @Test void 'what a script leaves running is killed when its node ends'() {
        CpsHarness h = answering()
        h.runWithoutNode("node { sh '#!/bin/sh\\nsleep 600 > /dev/null 2>&1 &' }")
        while (jenkins.processes) { Thread.sleep(10) }
    }

    @Test void 'a lost agent ends its block, and a retry resumes on another one'() {
        CpsHarness h = answering()
        jenkins.freshAgents = true
        jenkins.loseAgentWhen = { new File(tmp.root, 'runs').exists() }
        assert h.runWithoutNode("""int tries = 0
            retry(count: 2, conditions: [agent(), nonresumable()]) { node {
                tries++
                writeFile file: 'x' + tries, text: ''
                try { if (tries == 1) { sh '${tree('sleep 600')}' } } finally { try { sh 'true' } catch (IOException e) { echo e.message } }
                return [tries, fileExists('x1'), fileExists('x2')]
            } }""") == [2, false, true]
        assert jenkins.agents*.lost == [true, false]
        assert jenkins.log.any { it.contains('was marked offline') }
        assert jenkins.processes == []
    }

    @Test void 'without a retry a lost agent aborts the build'() {
        jenkins.loseAgentWhen = { new File(tmp.root, 'runs').exists() }
        try {
            answering().runWithoutNode("node { sh '${tree('sleep 600')}' }")
            assert false
        } catch (FlowInterruptedException e) {
            assert e.causes[0].shortDescription == 'Agent was removed'
        }
        assert jenkins.build.result == 'ABORTED'
    }

    @Test void 'a Windows agent has Windows paths and no shell'() {
        jenkins.windows = true
        CpsHarness h = answering()
        assert h.run('return [isUnix(), env.WORKSPACE]') == [false, 'C:\\jenkins\\workspace\\demo']
        assert failure(h, "sh 'true'").startsWith('Cannot run program "nohup"')
    }

    @Test void 'env takes new variables for the whole build'() {
        assert answering().runWithoutNode("env.A = 'b'; node { return [env.A, sh(returnStdout: true, script: 'printf %s \"\$A\"'), A] }") == ['b', 'b', 'b']
    }

    @Test void 'PATH+NAME puts a folder in front, as withEnv does'() {
        jenkins.agent.PATH = '/usr/bin:/bin'
        assert answering().run("withEnv(['PATH+MORE=/x']) { return env.PATH }") == '/x:/usr/bin:/bin'
    }
}
