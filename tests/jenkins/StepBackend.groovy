import hudson.AbortException
import java.nio.file.FileSystems
import java.nio.file.Path
import java.nio.file.PathMatcher
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException
import org.jenkinsci.plugins.workflow.steps.MissingContextVariableException

/** One build of Jenkins: its pipeline steps, done for real on an agent in a temporary folder, and the record that Jenkins keeps of them. */
class StepBackend {
    /** Steps that need an agent. */
    static final Set<String> ON_AGENT = ['sh', 'writeFile', 'readFile', 'fileExists', 'deleteDir', 'pwd', 'dir', 'stash', 'unstash', 'archiveArtifacts',
                                         'isUnix', 'checkout'] as Set

    final File folder
    /** The workspace of the first agent, and of all agents unless `freshAgents` is set. */
    final File workspace
    /** Library resources by library, in the order of the controller's configuration. */
    final List<File> resources = [new File('resources')]
    /** Each `node` gets a new machine with an empty workspace and home folder. */
    boolean freshAgents = false
    boolean windows = false
    /** Variables of the agents; of the build. */
    final Map<String, String> agent = [:]
    final Map<String, String> build = [BUILD_NUMBER: '7', BUILD_URL: 'http://jenkins.invalid/job/demo/7/', JOB_NAME: 'demo']
    /** The causes of the build, as currentBuild.getBuildCauses() returns them. */
    List<Map> causes = []
    final Map<String, Object> params = [:]
    /** Jenkins credentials by id: username and password, text, or file. */
    final Map<String, Map<String, String>> credentials = [:]
    /** The folder that checkout(scm) copies into the workspace, and its result; null: a job without a source. */
    File source = null
    Map<String, String> checkedOut = [:]
    /** Steps of plugins that are not installed. */
    final Set<String> missing = [] as Set
    /** Other libraries' or plugins' steps: name -> what it does with its arguments. */
    final Map<String, Closure> others = [:]
    /** Answers of people to `input`, in order: [proceed: true, by: 'ann'], [proceed: false, by: 'bob']. Without one, the build waits. */
    final List<Map> answers = []
    /** Resources that another build has locked for good; the milestone that a newer build has passed. */
    final Set<String> lockedElsewhere = [] as Set
    int newerMilestone = 0
    /** While `sh` runs or the build waits: somebody aborts the build, or its agent goes away, once the condition holds. */
    Closure<Boolean> abortWhen = null
    Closure<Boolean> loseAgentWhen = null

    /** What happened: console as a person sees it, console before Jenkins masked it, shell texts, archived files, blocks entered. */
    final List<String> log = []
    final List<String> raw = []
    final List<String> shells = []
    final List<Map> archived = []
    final List<List> entered = []
    final BuildRecord record = new BuildRecord()
    final List<Agent> agents = []
    /** Stashes by name, archived artifacts: folders with the files. */
    final Map<String, File> stashes = [:]
    final File archive
    /** Milliseconds since the build began; they pass while a script runs and while the build waits. */
    long now = 0

    /** The blocks around the step that runs. */
    Scope scope = null
    /** An abort that other branches have to hear of. */
    FlowInterruptedException aborted = null
    private final Map<String, Integer> locks = [:]
    private final Map<String, String> overrides = [:]
    private int lastMilestone = 0
    private int stashed = 0

    StepBackend(File folder) {
        this.folder = folder
        workspace = new File(folder, 'workspace')
        workspace.mkdirs()
        archive = new File(folder, 'archive')
    }

    File cwd() { scope.folder }

    /** The folder for temporary files of the first agent; steps in `dir` have theirs beside that folder. */
    File temporary() { new File(workspace.path + '@tmp') }

    File temporaryHere() { new File(cwd().path + '@tmp') }

    File file(String p, File base = cwd()) { new File(p).absolute ? new File(p) : new File(base, p) }

    /** The variables that a step sees here. Outside of an agent there are only those of the build. */
    Map<String, String> environment() {
        Map<String, String> all = [:]
        if (scope?.agent) { all.putAll(agent) }
        all.putAll(build.findAll { !(it.key in ['result', 'description', 'displayName']) } + overrides)
        if (scope?.agent) { all.putAll(scope.agent.variables) }
        Scope.chain(scope).each { Scope block -> block.variables.each { String name, String value -> put(all, name, value) } }
        return all
    }

    /** NAME= unsets a variable, PATH+ANYTHING=folder puts a folder in front; nothing is expanded. */
    private static void put(Map<String, String> all, String name, String value) {
        if (name.contains('+')) {
            String plain = name.substring(0, name.indexOf('+'))
            all[plain] = all[plain] ? value + ':' + all[plain] : value
        } else if (value == '') { all.remove(name) } else { all[name] = value }
    }

    Map<String, String> processEnvironment() {
        Map<String, String> basis = ['PATH', 'HOME', 'LANG'].findAll { System.getenv(it) }.collectEntries { [(it): System.getenv(it)] }
        return (basis + environment()).collectEntries { k, v -> [(k as String): v as String] }
    }

    boolean hasStep(String name) { !(name in missing) && (others.containsKey(name) || metaClass.respondsTo(this, 'do_' + name)) }

    /** A plain step. */
    Object step(String name, List args, Scope scope, String branch = '') {
        this.scope = scope
        BuildRecord.Step kept = symbols.contains(name) ? null : record.add(name, args, Scope.secretsOf(scope), branch)
        return failing(kept) {
            needAgent(name)
            others.containsKey(name) ? others[name].call(*args) : this."do_${name}"(*args)
        }
    }

    /** Symbols that stand in arguments of steps; Jenkins keeps them as a part of those. */
    private static final Set<String> symbols = ['usernamePassword', 'string', 'file', 'sshUserPrivateKey', 'agent', 'nonresumable'] as Set

    private static Object failing(BuildRecord.Step kept, Closure body) {
        try {
            return body()
        } catch (Throwable failure) {
            kept?.error = failure.message
            throw failure
        }
    }

    private void needAgent(String name) {
        if (!(name in ON_AGENT)) { return }
        if (scope?.agent == null) { throw new MissingContextVariableException(name in ['sh', 'isUnix'] ? 'hudson.Launcher' : 'hudson.FilePath') }
        if (scope.agent.lost) { throw new AgentOfflineException(scope.agent.label) }
    }

    // Blocks

    /** Enters a block; returns the scope inside of it. */
    Scope enter(String name, List args, Scope around, int branch, String branchName = '') {
        entered << [name, *args]
        scope = around
        BuildRecord.Step kept = record.add(name, args, Scope.secretsOf(around), branchName)
        failing(kept) {
            needAgent(name)
            Scope inside = new Scope(around, name)
            if (this.metaClass.respondsTo(this, 'enter_' + name)) { this."enter_${name}"(inside, args, branch) }
            inside
        } as Scope
    }

    void enter_withEnv(Scope inside, List args, int branch) {
        for (Object entry in args[0]) {
            String text = entry
            if (!text.contains('=')) { throw new IllegalArgumentException("Illegal environment variable: $text") }
            inside.variables[text.substring(0, text.indexOf('='))] = text.substring(text.indexOf('=') + 1)
        }
    }

    void enter_withCredentials(Scope inside, List args, int branch) {
        for (Map binding in args[0]) {
            Map<String, String> stored = credentials[binding.credentialsId as String]
            if (stored == null) { throw new AbortException("Could not find credentials entry with ID '${binding.credentialsId}'") }
            switch (binding.kind) {
                case 'string': inside.secrets[binding.variable as String] = stored.text; break
                case 'file': inside.secrets[binding.variable as String] = stored.file; break
                case 'sshUserPrivateKey': inside.secrets[binding.keyFileVariable as String] = stored.file; break
                default:
                    inside.variables[binding.usernameVariable as String] = stored.username
                    inside.secrets[binding.passwordVariable as String] = stored.password
            }
        }
        inside.variables.putAll(inside.secrets)
    }

    void enter_dir(Scope inside, List args, int branch) { inside.folder = file(args[0] as String) }

    void enter_stage(Scope inside, List args, int branch) { inside.variables.STAGE_NAME = args[0] as String }

    void enter_node(Scope inside, List args, int branch) { take(inside, args[0] as String) }

    void enter_timeout(Scope inside, List args, int branch) { inside.deadline = now + milliseconds(args[0]) }

    void enter_lock(Scope inside, List args, int branch) {
        inside.lock = resourceOf(args)
        locks[inside.lock] = branch
    }

    private static String resourceOf(List args) { args[0] instanceof Map ? args[0].resource ?: args[0].label : args[0] }

    private static long milliseconds(Object limit) {
        Map given = limit instanceof Map ? limit : [time: limit]
        return java.util.concurrent.TimeUnit.valueOf((given.unit ?: 'MINUTES') as String).toMillis(given.time as long)
    }

    /** A scope on an agent. */
    Scope take(Scope inside, String label) {
        int number = agents.size() + 1
        File place = freshAgents && number > 1 ? new File(folder, "agent-$number/workspace") : workspace
        Map<String, String> own = windows ? [WORKSPACE: 'C:\\jenkins\\workspace\\demo', WORKSPACE_TMP: 'C:\\jenkins\\workspace\\demo@tmp'] :
            [WORKSPACE: place.path, WORKSPACE_TMP: place.path + '@tmp']
        own += [NODE_NAME: "agent-$number" as String, NODE_LABELS: label ?: 'any']
        if (freshAgents) {
            own.HOME = new File(folder, "agent-$number/home").path
            new File(own.HOME).mkdirs()
        }
        inside.agent = new Agent(place, label, own as Map<String, String>)
        inside.folder = place
        agents << inside.agent
        return inside
    }

    /** Leaves a block; returns the scope around it. What a `node` has started and not ended is killed, as Jenkins does. */
    Scope leave(Scope inside) {
        if (inside.lock) { locks.remove(inside.lock) }
        if (inside.block == 'node') { ShellStep.kill('TERM', ShellStep.processes(inside.agent.cookie)) }
        return inside.outer
    }

    // Waiting

    /** Whether the step cannot go on now: nobody has answered, another branch or build has the lock, time has to pass. */
    boolean waits(Map request, Scope scope, int branch) {
        List args = request.args as List
        if (request.name == 'enter_' && args[0] == 'lock') {
            String resource = resourceOf(args.drop(1))
            return resource in lockedElsewhere || (locks.containsKey(resource) && locks[resource] != branch)
        }
        if (request.name == 'sleep') {
            request.until = request.until ?: now + milliseconds([unit: 'SECONDS'] + (args[0] instanceof Map ? args[0] : [time: args[0]]))
            return now < request.until
        }
        return request.name == 'input' && !others.containsKey('input') && !answers.any { mayAnswer(it, args) }
    }

    private static boolean mayAnswer(Map answer, List args) {
        String submitters = args[0] instanceof Map ? args[0].submitter : null
        return !submitters || !answer.proceed || (answer.by as String) in submitters.tokenize(', ')
    }

    private static final String REMOVED = 'Agent was removed'

    /** Why a step in that scope is stopped at that time, or null. */
    FlowInterruptedException interruption(long time, Scope scope) {
        if (abortWhen?.call()) {
            abortWhen = null
            return aborted = new FlowInterruptedException('ABORTED', 'Aborted by ann')
        }
        if (loseAgentWhen != null && scope?.agent && loseAgentWhen()) {
            loseAgentWhen = null
            scope.agent.lost = true
            scope.agent.workspace.renameTo(new File(folder, 'lost-' + UUID.randomUUID()))
            return new FlowInterruptedException('ABORTED', REMOVED)
        }
        Scope limit = Scope.limit(scope)
        if (limit != null && time >= limit.deadline) {
            limit.deadline = 0
            return new FlowInterruptedException('ABORTED', 'Timeout has been exceeded')
        }
        return null
    }

    // Plain steps

    Object do_sh(Map m) {
        if (windows) { throw new IOException('Cannot run program "nohup": CreateProcess error=2, The system cannot find the file specified') }
        shells << (m.script as String)
        return new ShellStep(this).run(m)
    }

    Object do_sh(String script) { do_sh(script: script) }

    /** Jenkins masks what the blocks of withCredentials around the step have bound, and nothing else. */
    void say(String text) {
        raw << text
        List<String> secrets = Scope.secretsOf(scope).values().findAll { it }.sort { -it.length() }       // a longer one may contain a shorter one
        log << secrets.inject(text) { String shown, String secret -> shown.replace(secret, '****') }
    }

    Object do_writeFile(Map m) {
        File target = file(m.file)
        target.parentFile.mkdirs()
        if (m.encoding == 'Base64') { target.bytes = (m.text as String).decodeBase64() } else { target.setText(m.text as String, m.encoding ?: 'UTF-8') }
        return null
    }

    Object do_readFile(Map m) { m.encoding == 'Base64' ? file(m.file).bytes.encodeBase64().toString() : file(m.file).getText(m.encoding ?: 'UTF-8') }

    Object do_readFile(String p) { do_readFile(file: p) }

    Object do_fileExists(String f) { file(f).exists() }

    Object do_fileExists(Map m) { file(m.file).exists() }

    Object do_deleteDir() { if (!cwd().deleteDir()) { throw new IOException("cannot delete ${cwd()}") }; null }

    Object do_echo(String s) { say(s); null }

    Object do_error(String s) { throw new AbortException(s) }

    Object do_pwd(Map m = [:]) { m.tmp ? temporaryHere().path : cwd().path }

    Object do_isUnix() { !windows }

    Object do_libraryResource(Map m) {
        File found = resources.collect { new File(it, m.resource as String) }.find { it.file }
        if (found == null) { throw new AbortException("No such library resource ${m.resource} could be found.") }
        return m.encoding == 'Base64' ? found.bytes.encodeBase64().toString() : found.getText(m.encoding ?: 'UTF-8')
    }

    Object do_libraryResource(String p) { do_libraryResource(resource: p) }

    Object do_archiveArtifacts(Map m) {
        archived << m
        List<File> files = matching(m.artifacts as String, m.excludes as String)
        if (!files && !m.allowEmptyArchive) { throw new AbortException("No artifacts found that match the file pattern \"$m.artifacts\"") }
        copy(files, cwd(), archive)
        return null
    }

    Object do_archiveArtifacts(String artifacts) { do_archiveArtifacts(artifacts: artifacts) }

    Object do_stash(Map m) {
        List<File> files = matching((m.includes ?: '**') as String, m.excludes as String)
        if (m.useDefaultExcludes != false) { files.removeAll { it.path.contains('/.git/') } }
        if (!files && !m.allowEmpty) { throw new AbortException("No files included in stash ‘${m.name}’") }
        stashes[m.name as String] = new File(folder, "stash-${++stashed}")
        copy(files, cwd(), stashes[m.name as String])
        return null
    }

    Object do_stash(String name) { do_stash(name: name) }

    Object do_unstash(Map m) { do_unstash(m.name as String) }

    Object do_unstash(String name) {
        if (!stashes.containsKey(name)) { throw new AbortException("No such saved stash ‘$name’") }
        copy(filesOf(stashes[name]), stashes[name], cwd())
        return null
    }

    Object do_checkout(Object scm) {
        assert scm instanceof NotSerializableSource
        copy(filesOf(source), source, cwd())
        return new HashMap(checkedOut)
    }

    Object do_input(Map m) {
        Map answer = answers.find { mayAnswer(it, [m]) }
        answers.remove(answer)
        say("${m.message} (${m.ok ?: 'Proceed'} or Abort)")
        if (!answer.proceed) { throw new FlowInterruptedException('ABORTED', "Rejected by ${answer.by}") }
        say("Approved by ${answer.by}")
        Map values = (answer.values ?: [:]) + (m.submitterParameter ? [(m.submitterParameter as String): answer.by] : [:])
        return values.size() > 1 ? values : values ? values.values()[0] : null
    }

    Object do_input(String message) { do_input(message: message) }

    Object do_milestone(Map m) {
        int ordinal = (m.ordinal ?: lastMilestone + 1) as int
        if (ordinal <= lastMilestone) { throw new AbortException("Invalid milestone ordinal: $ordinal is not above $lastMilestone, the previous one") }
        if (ordinal <= newerMilestone) { throw new FlowInterruptedException('NOT_BUILT', 'Superseded by #8') }
        lastMilestone = ordinal
        return null
    }

    Object do_milestone(Object ordinal) { do_milestone(ordinal: ordinal) }

    Object do_milestone() { do_milestone([:]) }

    Object do_sleep(Object time) { null }

    Object do_unstable(Object m) { say("WARNING: ${m instanceof Map ? m.message : m}"); worsen('UNSTABLE'); null }

    /** The end of catchError with a failure. */
    Object caught(String message, String failure, String result, String interruption) {
        if (message) { say(message) }
        say('ERROR: ' + failure)
        worsen(interruption ?: result)
        return null
    }

    /** Whether `retry` tries once more: without conditions always, unless the build was aborted; else if one of them holds. */
    Object again(List conditions, Throwable failure) {
        boolean stopped = failure instanceof FlowInterruptedException
        boolean gone = failure instanceof AgentOfflineException || (stopped && failure.causes*.shortDescription == [REMOVED])
        return conditions ? gone && conditions.any { it in ['agent', 'nonresumable'] } : !stopped || gone
    }

    static final List<String> RESULTS = ['SUCCESS', 'UNSTABLE', 'FAILURE', 'NOT_BUILT', 'ABORTED']

    /** The result of a build only ever gets worse. */
    void worsen(String result) { if (RESULTS.indexOf(result) > RESULTS.indexOf(build.result ?: 'SUCCESS')) { build.result = result } }

    /** env.NAME = value */
    void override(String name, Object value) { overrides[name] = value as String }

    Object do_usernamePassword(Map m) { [kind: 'usernamePassword'] + m }

    Object do_string(Map m) { [kind: 'string'] + m }

    Object do_file(Map m) { [kind: 'file'] + m }

    Object do_sshUserPrivateKey(Map m) { [kind: 'sshUserPrivateKey'] + m }

    Object do_agent() { 'agent' }

    Object do_nonresumable() { 'nonresumable' }

    // Files

    static List<File> filesOf(File folder) {
        List<File> files = []
        if (folder?.directory) { folder.eachFileRecurse(groovy.io.FileType.FILES) { files << it } }
        return files
    }

    /** Files of the current folder by Ant patterns. */
    private List<File> matching(String includes, String excludes) {
        Closure<Boolean> matches = { String patterns, File f ->
            Path path = cwd().toPath().relativize(f.toPath())
            patterns?.split(/\s*,\s*/)?.any { String pattern -> variants(pattern).any { PathMatcher m -> m.matches(path) } }
        }
        return filesOf(cwd()).findAll { matches(includes, it) && !matches(excludes, it) }
    }

    /** In a pattern of Ant two stars may stand for no folder at all, and a folder at the end for all in it. */
    private static List<PathMatcher> variants(String pattern) {
        String whole = pattern.endsWith('/') ? pattern + '**' : pattern
        [whole, whole.replace('**/', '')].unique().collect { FileSystems.default.getPathMatcher('glob:' + it) }
    }

    private static void copy(List<File> files, File from, File to) {
        to.mkdirs()
        for (File f in files) {
            File target = new File(to, from.toPath().relativize(f.toPath()).toString())
            target.parentFile.mkdirs()
            target.bytes = f.bytes
            target.setExecutable(f.canExecute())
        }
    }

    // What stays

    /** Everything that stays of the build where people or Jenkins keep it, and where secrets are not to stand. */
    SecretSearch search() {
        SecretSearch search = new SecretSearch()
        search.places.console = log
        record.steps.each { search.places.get("record of ${it.name}" as String, []) << it.toString() }
        search.places.description = [build.description, build.displayName, build.result]
        search.places['build variables'] = overrides.collect { "$it" as String }
        search.places.shells = shells
        filesOf(archive).each { search.places["archived ${it.name}" as String] = [it.getText('UTF-8')] }
        stashes.each { String name, File place -> filesOf(place).each { search.places["stash $name: ${it.name}" as String] = [it.getText('UTF-8')] } }
        return search
    }

    /** Where any of the secrets stands in any form: 'console: base64', 'record of withEnv: plain'. An empty list is good. */
    List<String> findSecrets(Collection<String> secrets) { search().find(secrets) }

    /** Processes that the build has started and that still run. */
    List<String> getProcesses() { ShellStep.processes(agents*.cookie as String[]) }
}

/** A step on an agent that is gone. */
class AgentOfflineException extends IOException {
    private static final long serialVersionUID = 1L

    AgentOfflineException(String label) { super("Unable to create live FilePath for $label; it was marked offline" as String) }
}
