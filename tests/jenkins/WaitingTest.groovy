import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException
import org.junit.Test

/** Steps of the harness that wait or decide: input, timeout, milestone, lock, catchError, retry; and steps that are not installed. */
class WaitingTest extends LibraryTest {

    /** The result and the causes of the interruption with which the Jenkinsfile ends. */
    List interruption(String jenkinsfile) {
        try {
            answering().run(jenkinsfile)
        } catch (FlowInterruptedException e) {
            assert jenkins.build.result == e.result
            return [e.result, *e.causes*.shortDescription]
        }
        throw new AssertionError('the Jenkinsfile was not interrupted' as Object)
    }

    @Test void 'input goes on when somebody who may has approved'() {
        jenkins.answers << [proceed: true, by: 'eve'] << [proceed: true, by: 'ann']
        assert answering().run("return input(message: 'Deploy?', submitter: 'ann,bob', submitterParameter: 'who')") == 'ann'
        assert jenkins.log == ['Deploy? (Proceed or Abort)', 'Approved by ann']
        assert jenkins.answers*.by == ['eve']
    }

    @Test void 'input that is refused aborts the build'() {
        jenkins.answers << [proceed: false, by: 'bob']
        assert interruption("input 'Deploy?'; echo 'no'") == ['ABORTED', 'Rejected by bob']
        assert !jenkins.log.contains('no')
    }

    @Test void 'input that nobody answers ends with its timeout, in no time'() {
        assert interruption("timeout(time: 720, unit: 'HOURS') { input message: 'Deploy?' }") == ['ABORTED', 'Timeout has been exceeded']
        assert jenkins.now == 720L * 3600 * 1000
    }

    @Test void 'the program survives a restart while it waits'() {
        CpsHarness h = answering()
        jenkins.answers << [proceed: true, by: 'ann']
        h.run("Map kept = [a: 1]; timeout(5) { input 'Deploy?' }; echo 'kept ' + kept.a")
        assert jenkins.log[-1] == 'kept 1' && h.trace == ['enter_', 'input', 'leave_', 'echo'] && h.roundTrips == 4
        try {
            answering().run("def m = ('a' =~ 'a'); timeout(5) { input 'Deploy?' }; return m")
            assert false
        } catch (NotSerializableException e) {
            assert e.message.contains('Matcher')
        }
    }

    @Test void 'a build that waits for ever is a mistake of the test'() {
        try { answering().run("input 'Deploy?'") } catch (AssertionError e) { assert e.message.contains('waits for ever'); return }
        assert false
    }

    @Test void 'a timeout stops the script that runs, and what comes after it may go on'() {
        answering().run("""try { timeout(time: 1, unit: 'SECONDS') { sh 'sleep 600' } } catch (Exception e) { echo 'over: ' + e.class.simpleName }
            sh 'true'""")
        assert jenkins.log.contains('over: FlowInterruptedException') && jenkins.log.any { it.contains('Sending interrupt signal') }
        assert jenkins.processes == []
    }

    @Test void 'milestones only rise, and a newer build supersedes'() {
        answering().run('milestone 1; milestone(ordinal: 5); milestone()')
        assert failure(answering(), 'milestone 3').startsWith('Invalid milestone ordinal: 3')
        jenkins.newerMilestone = 20
        jenkins.build.remove('result')
        assert interruption('milestone 10') == ['NOT_BUILT', 'Superseded by #8']
    }

    @Test void 'a lock that another build holds is waited for'() {
        jenkins.lockedElsewhere << 'prod'
        assert interruption("timeout(10) { lock('prod') { echo 'in' } }") == ['ABORTED', 'Timeout has been exceeded']
        assert !jenkins.log.contains('in')
    }

    @Test void 'catchError, warnError and unstable set the result and go on, and a result only gets worse'() {
        answering().run("""catchError(buildResult: 'SUCCESS', stageResult: 'FAILURE') { error 'one' }
            echo currentBuild.currentResult
            warnError('told') { error 'two' }
            unstable 'three'
            echo currentBuild.result
            catchError { error 'four' }
            currentBuild.result = 'SUCCESS'""")
        assert jenkins.log == ['ERROR: one', 'SUCCESS', 'told', 'ERROR: two', 'WARNING: three', 'UNSTABLE', 'ERROR: four']
        assert jenkins.build.result == 'FAILURE'
    }

    @Test void 'retry tries again as often as it is told'() {
        assert failure(answering(), "retry(3) { sh 'echo x >> tries'; error 'again' }") == 'again'
        assert new File(jenkins.workspace, 'tries').readLines().size() == 3
    }

    @Test void 'a step of a plugin that is not installed is missing by its name'() {
        CpsHarness h = answering()
        jenkins.missing.addAll(['lock', 'milestone', 'archiveArtifacts'])
        Map<String, String> steps = ["lock('r') { }": 'lock', 'milestone 1': 'milestone', "archiveArtifacts 'a'": 'archiveArtifacts', 'nothing()': 'nothing']
        steps.each { String step, String name ->
            try { h.run(step); assert false } catch (NoSuchMethodError e) { assert e.message == "No such DSL method '$name' found among steps [...]" as String }
        }
    }

    @Test void 'resources and files travel as Base64'() {
        byte[] bytes = (0..255).collect { it as byte } as byte[]
        jenkins.resources << tmp.newFolder('more')
        new File(jenkins.resources[1], 'a.bin').bytes = bytes
        assert answering().run("""writeFile(file: 'b.bin', text: libraryResource(resource: 'a.bin', encoding: 'Base64'), encoding: 'Base64')
            return readFile(file: 'b.bin', encoding: 'Base64')""") == bytes.encodeBase64().toString()
        assert new File(jenkins.workspace, 'b.bin').bytes == bytes
        assert failure(answering(), "libraryResource 'none'") == 'No such library resource none could be found.'
    }
}
