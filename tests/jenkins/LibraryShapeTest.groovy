import org.junit.Test

/** The habits of the library, held by numbers. */
class LibraryShapeTest {
    static final Map<String, Integer> BUDGETS = [towline: 150, towlineStage: 80, towlinePipeline: 60, towlineEnvironment: 60, towlineSecrets: 80, towlineRequest: 100,
                                               towlineStep: 80, towlineOrder: 60, towlineSource: 60, towlineConfirm: 60, towlinePost: 60, towlineExtension: 40, towlineInit: 40]
    static final int STEP = 15

    final List<File> vars = new File('vars').listFiles().findAll { it.name.endsWith('.groovy') }.sort { it.name }

    static String withoutComments(File file) { file.text.replaceAll(/(?s)\/\*.*?\*\//, '').replaceAll(/(?m)(^|\s)\/\/.*$/, '') }

    static int codeLines(File file) { withoutComments(file).readLines().count { it.trim() } }

    @Test void 'every var keeps to its budget of code lines'() {
        Map over = vars.collectEntries { [(it.name - '.groovy'): codeLines(it)] }.findAll { String name, int lines -> lines > BUDGETS.get(name, STEP) }
        assert over == [:]
        assert vars.size() >= 6
    }

    @Test void 'a var is without NonCPS and without def'() {
        assert vars.findAll { it.text.contains('NonCPS') || withoutComments(it) =~ /\bdef\b/ } == []
    }

    @Test void 'a var has its help page'() {
        assert vars.findAll { !new File(it.path - '.groovy' + '.txt').file } == []
        new File('vars').listFiles().findAll { it.name.endsWith('.txt') }.each { assert new File(it.path - '.txt' + '.groovy').file && it.text.startsWith('<p>') }
    }

    @Test void 'there is nothing else in the folder, and no two names differ by case only'() {
        List<String> names = new File('vars').list() as List
        assert names.every { it.endsWith('.groovy') || it.endsWith('.txt') }
        assert names*.toLowerCase().toSet().size() == names.size()
    }

    @Test void 'no text that a shell reads is put together'() {
        vars.each { File file ->
            assert !(withoutComments(file) =~ /(?m)^\s*(\S+ = )?sh\s*\(?\s*"/)
            assert !(withoutComments(file) =~ /script:\s*"/)
            assert !(withoutComments(file) =~ /"""/)
        }
        assert !(withoutComments(new File('vars/towline.groovy')) =~ /'''\s*\+|\+\s*'''/)
    }
}
