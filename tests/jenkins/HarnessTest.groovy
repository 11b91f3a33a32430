import org.junit.Test

/** The harness must be able to fail: what these tests break, workflow-cps would break too. */
class HarnessTest extends LibraryTest {

    @Test void 'a local that cannot be serialized is caught when it is held over a step'() {
        try {
            answering().run("def m = ('a=1' =~ /a=(.)/); echo 'x'; return m[0][1]")
            assert false
        } catch (NotSerializableException e) {
            assert e.message.contains('java.util.regex.Matcher')
        }
    }

    @Test void 'a step called inside NonCPS code is caught'() {
        CpsHarness h = answering()
        try { h.run("@NonCPS def f() { [1, 2].each { echo('x' + it) }; return 'done' }\nreturn f()") } catch (AssertionError ignored) { assert h.mismatches; return }
        assert false
    }

    @Test void 'CPS code called from a comparator is caught'() {
        CpsHarness h = answering()
        try { h.run('def l = [3, 1, 2]; Collections.sort(l, { a, b -> a <=> b } as Comparator); return l') } catch (AssertionError ignored) { assert h.mismatches; return }
        assert false
    }

    @Test void 'for-in loops and closures of each may hold steps'() {
        assert answering().run("""int n = 0
            for (x in [1, 2]) { echo 'l' + x; n++ }
            for (x in [1, 2].toSet()) { echo 's' + x; n++ }
            for (e in [a: 1, b: 2]) { echo e.key + e.value; n++ }
            for (e in [a: 1, b: 2].entrySet()) { echo e.key; n++ }
            [1, 2].each { echo 'e' + it; n++ }
            [a: 1].each { k, v -> echo k + v; n++ }
            def c = [1, 2].collect { echo 'c' + it; n++; it * 2 }
            return n + c.sum()""") == 13 + 6
    }

    @Test void 'a var belongs to the script that names it'() {
        CpsHarness h = answering()
        h.addVar('other', "Object call() { return towlineEnvironment.get('k') }")
        assert h.run("towlineEnvironment.set('k', 'v'); echo 'x'; return [towlineEnvironment.get('k'), other()]") == ['v', null]
    }
}
