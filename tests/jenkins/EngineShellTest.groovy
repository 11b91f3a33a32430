import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

/** resources/towline/engine.sh: which program it becomes, and which it never does. */
class EngineShellTest {
    @Rule public TemporaryFolder tmp = new TemporaryFolder()
    File workspace
    File tools

    @Before void prepare() {
        workspace = tmp.newFolder('workspace')
        tools = tmp.newFolder('tools with blanks')
    }

    static File program(File folder, String says) {
        folder.mkdirs()
        File file = new File(folder, 'towline')
        file.text = "#!/bin/sh\necho '$says' \"\$#\" \"\$@\"\n"
        file.setExecutable(true)
        return file
    }

    /** Exit code and output of the script in the workspace. */
    List start(Map environment, File folder = workspace) {
        ProcessBuilder builder = new ProcessBuilder('/bin/sh', new File('resources/towline/engine.sh').absolutePath, 'run', 'a b')
            .directory(folder).redirectErrorStream(true)
        builder.environment().clear()
        builder.environment().putAll([PATH: '/usr/bin:/bin', WORKSPACE: workspace.path] + environment)
        Process process = builder.start()
        process.outputStream.close()
        String text = process.inputStream.text.trim()
        return [process.waitFor(), text]
    }

    @Test void 'the named program runs with the arguments as they are'() {
        assert start(TOWLINE_ENGINE: program(tools, 'named').path) == [0, 'named 2 run a b']
    }

    @Test void 'a named program stands over one on PATH'() {
        File onPath = tmp.newFolder('path')
        program(onPath, 'path')
        assert start(TOWLINE_ENGINE: program(tools, 'named').path, PATH: "$onPath:/usr/bin:/bin" as String) == [0, 'named 2 run a b']
    }

    @Test void 'without a name the first on PATH runs, relative entries and the workspace left out'() {
        program(workspace, 'changed by a pull request')
        program(new File(workspace, 'bin'), 'changed by a pull request')
        program(tools, 'path')
        program(tmp.newFolder('beside'), 'wherever the step happens to run')
        String path = "bin:.::../beside:$workspace:${workspace}/bin/:${tools}/../workspace/bin:/nowhere:$tools:/usr/bin:/bin"
        assert start(PATH: path) == [0, 'path 2 run a b']
    }

    @Test void 'a link to a folder of the workspace is still the workspace'() {
        program(new File(workspace, 'bin'), 'changed by a pull request')
        File link = new File(tmp.root, 'link')
        java.nio.file.Files.createSymbolicLink(link.toPath(), new File(workspace, 'bin').toPath())
        assert start(PATH: "$link:/usr/bin:/bin" as String)[0] == 9
    }

    @Test void 'a link to a program of the workspace is still the workspace, one to another program is none'() {
        File links = tmp.newFolder('links')
        java.nio.file.Files.createSymbolicLink(new File(links, 'towline').toPath(), program(new File(workspace, 'bin'), 'changed by a pull request').toPath())
        assert start(PATH: "$links:/usr/bin:/bin" as String)[0] == 9
        File others = tmp.newFolder('others')
        java.nio.file.Files.createSymbolicLink(new File(others, 'towline').toPath(), program(tools, 'linked').toPath())
        assert start(PATH: "$others:/usr/bin:/bin" as String) == [0, 'linked 2 run a b']
    }

    @Test void 'in a folder of the workspace the whole workspace is left out'() {
        program(new File(workspace, 'bin'), 'changed by a pull request')
        File sub = new File(workspace, 'sub')
        sub.mkdirs()
        assert start([PATH: "$workspace/bin:/usr/bin:/bin" as String], sub)[0] == 9
    }

    @Test void 'what Python would load first does not come from the environment'() {
        File engine = program(tools, 'named')
        engine.text = '#!/bin/sh\necho "${PYTHONPATH-none} ${PYTHONHOME-none} ${PYTHONSTARTUP-none}"\n'
        assert start(TOWLINE_ENGINE: engine.path, PYTHONPATH: workspace.path, PYTHONHOME: workspace.path, PYTHONSTARTUP: 'x.py') == [0, 'none none none']
    }

    @Test void 'a machine without an engine is told what to set'() {
        assert start([:]) == [9, "towline: the engine is not on this agent; install it so that 'towline' is on PATH, " +
            'or set TOWLINE_ENGINE on the agent to the absolute path of its program']
    }

    @Test void 'a named program that is not there, not executable or in the workspace is refused'() {
        File plain = new File(tools, 'plain')
        plain.text = 'x'
        ["$tools/none" as String, plain.path, tools.path, program(workspace, 'changed by a pull request').path].each { String name ->
            List answer = start(TOWLINE_ENGINE: name)
            assert answer == [9, "towline: TOWLINE_ENGINE ('$name') is not an executable file outside of the workspace; set it on the agent to the engine's program" as String]
        }
    }

    @Test void 'a relative name is refused'() {
        program(workspace, 'changed by a pull request')
        assert start(TOWLINE_ENGINE: './towline')[1].startsWith("towline: TOWLINE_ENGINE must be an absolute path, not './towline'")
    }

    @Test void 'an engine whose Python is gone is told by the name of that Python'() {
        File named = program(tools, 'x')
        named.text = "#!/opt/gone/bin/python3 -I\nprint('x')\n"
        List expected = [9, "towline: '$named' needs /opt/gone/bin/python3, which is not on this agent; install Python 3.11 or newer there, or install the engine again" as String]
        assert start(TOWLINE_ENGINE: named.path) == expected
        assert start(PATH: "$tools:/usr/bin:/bin" as String) == expected
    }

    @Test void 'an engine that is no script runs as well'() {
        File binary = new File(tools, 'towline')
        binary.bytes = new File('/bin/true').bytes
        binary.setExecutable(true)
        assert start(TOWLINE_ENGINE: binary.path) == [0, '']
    }
}
