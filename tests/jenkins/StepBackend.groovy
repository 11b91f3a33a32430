/** The pipeline steps, done for real in a temporary workspace; the credentials store, the agent and the build that they belong to. */
class StepBackend {
    final File workspace
    final File resources = new File('resources')
    /** Variables of the agent; of the build. */
    final Map<String, String> agent = [:]
    final Map<String, String> build = [BUILD_NUMBER: '7', BUILD_URL: 'http://jenkins.invalid/job/demo/7/', JOB_NAME: 'demo']
    /** What started the build, as currentBuild.getBuildCauses() has it. */
    List<Map> causes = []
    /** Jenkins credentials by id: username and password, or text. */
    final Map<String, Map<String, String>> credentials = [:]
    /** What checkout(scm) copies into the workspace, and what it answers; null: a job without a source. */
    File source = null
    Map<String, String> checkedOut = [:]

    /** What happened: console as a person sees it, console before Jenkins masked it, shell texts, archived files, made-up steps. */
    final List<String> log = []
    final List<String> raw = []
    final List<String> shells = []
    final List<Map> archived = []
    final List<List> entered = []
    /** Other libraries' or plugins' steps: name -> what it does with its arguments. */
    final Map<String, Closure> others = [:]

    private final LinkedList<Map<String, String>> envStack = new LinkedList<>()
    private final LinkedList<String> dirStack = new LinkedList<>()
    private final Set<String> bound = [] as Set

    StepBackend(File folder) {
        workspace = new File(folder, 'workspace')
        workspace.mkdirs()
    }

    File temporary() { new File(workspace.path + '@tmp') }

    File cwd() { dirStack ? file(dirStack.last, workspace) : workspace }

    File file(String p, File base = cwd()) { new File(p).absolute ? new File(p) : new File(base, p) }

    /** The variables that a step sees here. */
    Map<String, String> environment() {
        Map e = [:] + agent + build.findAll { it.key != 'result' } + [WORKSPACE: workspace.path]
        envStack.descendingIterator().each { Map x -> x.each { k, v -> if (v == '') { e.remove(k) } else { e[k] = v } } }   // NAME= unsets
        return e
    }

    /** A plain step. */
    Object step(String name, List args) { others.containsKey(name) ? others[name].call(*args) : this."do_${name}"(*args) }

    boolean hasStep(String name) { others.containsKey(name) || metaClass.respondsTo(this, 'do_' + name) }

    /** Entering and leaving a block step. */
    void enter(String name, List args) {
        entered << [name, *args]
        switch (name) {
            case 'withEnv': envStack.push((args[0] as List).collectEntries { String s = it.toString()
                [(s.substring(0, s.indexOf('='))): expanded(s.substring(s.indexOf('=') + 1))] }); break
            case 'withCredentials': envStack.push((args[0] as List).collectMany { Map c ->
                Map s = credentials[c.credentialsId]
                if (s == null) { throw new RuntimeException("Could not find credentials entry with ID '${c.credentialsId}'") }
                bound.addAll([s.text, s.password].findAll { it })
                c.kind == 'string' ? [[(c.variable): s.text]] : c.kind == 'file' ? [[(c.variable): s.file]] : c.kind == 'sshUserPrivateKey' ? [[(c.keyFileVariable): s.file]] : [[(c.usernameVariable): s.username, (c.passwordVariable): s.password]]
            }.inject([:]) { a, b -> a + b }); break
            case 'stage': envStack.push([STAGE_NAME: args[0] as String]); break
            case 'dir': dirStack.add(file(args[0] as String).path); break
        }
    }

    /** A value as withEnv takes it: a variable that is there in the place of `$NAME` and `${NAME}`, `$` in the place of `$$`. */
    private String expanded(String text) {
        Map<String, String> known = environment()
        text.replaceAll(/\$(\$|\w+|\{[\w.]+})/) { String all, String name -> name == '$' ? '$' : known.getOrDefault(name.replaceAll(/[{}]/, ''), all) }
    }

    void leave(String name) {
        if (name in ['withEnv', 'withCredentials', 'stage']) { envStack.pop() }
        if (name == 'dir') { dirStack.removeLast() }
    }

    Object do_sh(Map m) {
        shells << (m.script as String)
        File scr = File.createTempFile('step', '.sh'); scr.text = m.script
        cwd().mkdirs()
        ProcessBuilder pb = new ProcessBuilder('sh', '-xe', scr.path).directory(cwd())
        Map e = pb.environment(); e.clear()
        ['PATH', 'HOME', 'LANG'].each { if (System.getenv(it)) { e[it] = System.getenv(it) } }
        environment().each { k, v -> e[k as String] = v as String }
        File out = File.createTempFile('step', '.out'), err = File.createTempFile('step', '.err')
        try {
            Process p = pb.redirectOutput(out).redirectError(err).start()
            p.outputStream.close()
            int rc = p.waitFor()
            say(out.text + err.text)
            if (m.returnStatus) { return rc }
            if (rc != 0) { throw new RuntimeException("script returned exit code $rc") }   // hudson.AbortException in Jenkins
            return m.returnStdout ? out.text : null
        } finally {
            [scr, out, err]*.delete()
        }
    }

    /** Jenkins masks what withCredentials bound, and nothing else. */
    void say(String text) {
        raw << text
        log << bound.inject(text) { a, v -> a.replace(v, '****') }
    }

    Object do_writeFile(Map m) { File f = file(m.file); f.parentFile.mkdirs(); f.setText(m.text as String, m.encoding ?: 'UTF-8'); null }

    Object do_readFile(Map m) { file(m.file).getText(m.encoding ?: 'UTF-8') }

    Object do_fileExists(String f) { file(f).exists() }

    Object do_deleteDir() { if (!cwd().deleteDir()) { throw new IOException("cannot delete ${cwd()}") }; null }

    Object do_echo(String s) { say(s); null }

    Object do_error(String s) { throw new RuntimeException(s) }

    Object do_pwd(Map m = [:]) { m.tmp ? temporary().path : cwd().path }

    Object do_libraryResource(String p) {
        File f = new File(resources, p)
        if (!f.file) { throw new RuntimeException("No such library resource $p could be found.") }
        f.getText('UTF-8')
    }

    Object do_archiveArtifacts(Map m) { archived << m; null }

    Object do_checkout(Object scm) {
        assert scm instanceof NotSerializableSource
        source.eachFileRecurse(groovy.io.FileType.FILES) { File f ->
            File to = new File(workspace, source.toPath().relativize(f.toPath()).toString())
            to.parentFile.mkdirs()
            to.bytes = f.bytes
        }
        new HashMap(checkedOut)
    }

    Object do_usernamePassword(Map m) { [kind: 'usernamePassword'] + m }

    Object do_string(Map m) { [kind: 'string'] + m }

    Object do_file(Map m) { [kind: 'file'] + m }

    Object do_sshUserPrivateKey(Map m) { [kind: 'sshUserPrivateKey'] + m }
}
