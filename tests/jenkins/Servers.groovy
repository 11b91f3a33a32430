import groovy.json.JsonSlurperClassic

/** The real servers of the end-to-end test (servers.py), as a child process: registries, git repository, image. */
class Servers implements Closeable {
    static final File PROGRAMS = new File('.venv/bin').absoluteFile
    final Map facts
    private final Process process
    private final File errors

    Servers(File folder) {
        File python = program('python')
        errors = new File(folder, 'servers.err')
        process = new ProcessBuilder(python.path, '-m', 'tests.jenkins.servers', folder.path).redirectError(errors).start()
        facts = read()
    }

    /** A program of the virtual environment. */
    static File program(String name) {
        File file = new File(PROGRAMS, name)
        if (!file.canExecute()) { throw new IllegalStateException("$file is not there: run 'make setup' first") }
        return file
    }

    Map ask(String word) {
        process.outputStream.write("$word\n".getBytes('UTF-8'))
        process.outputStream.flush()
        return read()
    }

    Map getState() { ask('state') }

    private Map read() {
        String line = process.inputStream.newReader('UTF-8').readLine()
        if (line == null) { throw new IllegalStateException("the servers ended: ${errors.text}") }
        return new JsonSlurperClassic().parseText(line) as Map
    }

    @Override void close() {
        process.outputStream.close()      // the end of its input ends it
        process.inputStream.close()
        assert process.waitFor() == 0 : errors.text
    }
}
