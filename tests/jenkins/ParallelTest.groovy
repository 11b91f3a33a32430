import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException
import org.junit.Test

/** `parallel` in the harness: branches that take turns at every step, each with its own blocks, restarts in between. */
class ParallelTest extends LibraryTest {

    @Test void 'branches take turns, each in its own blocks, and answer by name'() {
        CpsHarness h = answering()
        assert h.run("""Map said = [:]
            Map answers = parallel(
                a: { withEnv(['X=a']) { dir('a') { for (int i in [1, 2]) { echo 'a' + i + env.X; said['a' + i] = pwd() } } }; return 'A' },
                b: { stage('B') { for (int i in [1, 2]) { echo 'b' + i + env.X + env.STAGE_NAME; said['b' + i] = pwd() } }; return 'B' })
            return [answers, said]""") == [[a: 'A', b: 'B'], ['/a', '', '/a', ''].withIndex().collectEntries { String at, int i ->
                ['a1 b1 a2 b2'.tokenize()[i], jenkins.workspace.path + at] }]
        assert jenkins.log.findAll { it.startsWith('a') } == ['a1a', 'a2a'] && jenkins.log.findAll { it.startsWith('b') } == ['b1nullB', 'b2nullB']
        assert jenkins.log.toSorted() != jenkins.log                    // they took turns
        assert jenkins.record.steps.findAll { it.name == 'echo' }*.branch.toSet() == ['a', 'b'] as Set
        assert h.roundTrips == h.trace.size() && h.roundTrips > 12
    }

    @Test void 'a branch that cannot be serialized is caught while another one is at its step'() {
        try {
            answering().run("parallel a: { def m = ('a' =~ 'a'); echo 'x'; return m.matches() }, b: { echo 'y' }")
            assert false
        } catch (NotSerializableException e) {
            assert e.message.contains('Matcher')
        }
    }

    @Test void 'the first failure is that of all, after the other branches have ended'() {
        assert failure(answering(), "parallel a: { error 'first' }, b: { echo 'b1'; echo 'b2'; echo 'b3' }, c: { echo 'c1'; error 'second' }") == 'first'
        assert jenkins.log.containsAll(['b1', 'b2', 'b3', 'c1'])
        assert jenkins.build.result == 'FAILURE'
    }

    @Test void 'with failFast the other branches are stopped at their next step, and may clean up'() {
        assert failure(answering(), """parallel failFast: true, a: { echo 'a1'; error 'first' },
            b: { try { echo 'b1'; echo 'b2'; echo 'b3' }
                 catch (Exception e) { echo 'stopped: ' + e.class.simpleName; throw e }
                 finally { echo 'cleaned' } }""") == 'first'
        assert !jenkins.log.contains('b3')
        assert jenkins.log.containsAll(['stopped: FlowInterruptedException', 'cleaned'])
    }

    @Test void 'branches within branches'() {
        CpsHarness h = answering()
        assert h.run("""return parallel(a: { parallel(b: { echo 'b'; 1 }, c: { sleep 60; 2 }) }, d: { echo 'd'; 3 })""") == [a: [b: 1, c: 2], d: 3]
        assert jenkins.record.steps*.branch.toSet() == ['', 'a', 'a/b', 'a/c', 'd'] as Set
        assert jenkins.now >= 60000
    }

    @Test void 'without branches there is nothing to do'() { assert answering().run('return parallel([:])') == [:] }

    @Test void 'the steps of the library run in branches as well, each call with its own result'() {
        CpsHarness h = answering([summary: 'one'], [summary: 'two'])
        Map both = h.run("return parallel(a: { imagePushToRegistry script: this }, b: { gitOpsUpdateDeployment script: this })") as Map
        assert [both.a.summary, both.b.summary].toSet() == ['one', 'two'] as Set
        assertNothingIsLeft()
    }

    @Test void 'a lock lets one branch in at a time, and is free again after a failure'() {
        answering().run("""parallel a: { lock('r') { echo 'a in'; echo 'a still in'; echo 'a out' } },
            b: { try { lock(resource: 'r') { echo 'b in'; error 'b out' } } catch (Exception e) { echo e.message } },
            c: { lock('other') { echo 'c in' } }
            lock('r') { echo 'last' }""")
        List<String> ab = jenkins.log - ['c in']
        assert ab == ['a in', 'a still in', 'a out', 'b in', 'b out', 'last'] || ab == ['b in', 'b out', 'a in', 'a still in', 'a out', 'last']
        assert jenkins.log.indexOf('c in') < 3
    }

    @Test void 'an abort reaches every branch'() {
        CpsHarness h = answering()
        File marker = new File(tmp.root, 'runs')
        jenkins.abortWhen = { marker.exists() }
        try {
            h.run("""parallel a: { try { sh '#!/bin/sh\\n: > $marker; exec sleep 600' } finally { echo 'a cleaned' } },
                b: { try { input 'go?' } finally { echo 'b cleaned' } }""")
            assert false
        } catch (FlowInterruptedException e) {
            assert e.result == 'ABORTED'
        }
        assert jenkins.build.result == 'ABORTED'
        assert jenkins.log.containsAll(['a cleaned', 'b cleaned'])
        assert jenkins.processes == []
    }
}
