import org.junit.Before
import org.junit.Rule
import org.junit.rules.TemporaryFolder

/** What the tests of the library share: a temporary Jenkins, and a program in the engine's place. */
abstract class LibraryTest {
    @Rule public TemporaryFolder tmp = new TemporaryFolder()
    StepBackend jenkins
    FakeEngine engine

    @Before void startJenkins() { jenkins = new StepBackend(tmp.root) }

    CpsHarness answering(Map... answers) {
        engine = new FakeEngine(new File(tmp.root, 'engine'), (answers ?: [[:]]) as List<Map>)
        jenkins.agent.TOWLINE_ENGINE = engine.program.path
        return new CpsHarness(jenkins)
    }

    /** The message with which the Jenkinsfile fails. */
    static String failure(CpsHarness harness, String jenkinsfile) {
        try {
            harness.run(jenkinsfile)
        } catch (Exception e) {          // Jenkins' AbortException is an IOException
            return e.message
        }
        throw new AssertionError('the Jenkinsfile did not fail' as Object)
    }

    void assertNothingIsLeft() {
        assert !jenkins.temporary().exists() || jenkins.temporary().list().length == 0
        assert jenkins.workspace.list().length == 0
    }
}
