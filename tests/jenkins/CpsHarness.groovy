import com.cloudbees.groovy.cps.Continuable
import com.cloudbees.groovy.cps.Continuation
import com.cloudbees.groovy.cps.CpsTransformer
import com.cloudbees.groovy.cps.Envs
import com.cloudbees.groovy.cps.NonCPS
import com.cloudbees.groovy.cps.Outcome
import com.cloudbees.groovy.cps.TransformerConfiguration
import com.cloudbees.groovy.cps.impl.CpsCallableInvocation
import com.cloudbees.groovy.cps.sandbox.DefaultInvoker
import com.cloudbees.groovy.cps.sandbox.Invoker
import com.cloudbees.groovy.cps.sandbox.SandboxInvoker
import hudson.AbortException
import java.nio.file.Files
import java.nio.file.Path
import java.util.stream.Stream
import org.apache.commons.io.input.ClassLoaderObjectInputStream
import org.codehaus.groovy.control.CompilerConfiguration
import org.codehaus.groovy.control.customizers.ImportCustomizer
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException

/**
 * Runs a Jenkinsfile and the library the way workflow-cps does: everything CPS-compiled, the program suspended at every step,
 * and the WHOLE suspended program (branches, stacks, locals, vars, bindings) written out and read back before it goes on, as a
 * restart of the controller at that step does. As in Jenkins a var is created for the script that names it.
 */
class CpsHarness {
    /** Whether Jenkinsfile and library run in the sandbox if a test does not say. */
    static final boolean SANDBOXED = true
    static final ThreadLocal<CpsHarness> CURRENT = new ThreadLocal<>()
    final StepBackend steps
    final boolean sandboxed
    final SandboxGate gate = new SandboxGate()
    final List<String> trace = []
    final List<String> mismatches = []
    int roundTrips = 0
    /** The libraries in the order of the controller's configuration. */
    final List<Library> libraries = []
    private final GroovyClassLoader trusted
    private final GroovyClassLoader untrusted
    private final Library others = new Library('others', true, [:])

    /** The program: its branches of `parallel`, and how it ended. */
    private final List<Branch> branches = []
    private int lastBranch = 0
    private Outcome end = null

    CpsHarness(StepBackend steps, boolean sandboxed = SANDBOXED) {
        this.steps = steps
        this.sandboxed = sandboxed
        ClassLoader blocks = loader(CpsHarness.classLoader, 'CpsStepScript', new CpsTransformer())
        blocks.parseClass(BLOCK_STEPS, 'CpsSteps.groovy')
        trusted = loader(blocks, 'CpsSteps', new CpsTransformer())
        untrusted = loader(trusted, 'CpsSteps', sandboxed ? new SandboxedTransformer() : new CpsTransformer())
        libraries << others
        addLibrary('towline', varsOf(new File('.')), !sandboxed)
        gate.isGlobal = { String name -> owner(name) != null || name in GLOBALS || environment().containsKey(name) }
        CpsCallableInvocation.registerMismatchHandler({ Object er, String exp, Object ar, String got ->
            if (!(got == 'call' && owner(exp))) { mismatches << ("expected to call $exp but wound up catching $got" as String) }
        } as CpsCallableInvocation.MismatchHandler)
    }

    private static GroovyClassLoader loader(ClassLoader parent, String base, CpsTransformer transformer) {
        CompilerConfiguration configuration = new CompilerConfiguration(scriptBaseClass: base)
        transformer.configuration = new TransformerConfiguration().withClosureType(CpsClosure2)
        configuration.addCompilationCustomizers(new ImportCustomizer().addImports(NonCPS.name), transformer)
        return new GroovyClassLoader(parent, configuration)
    }

    /** Block steps in CPS-compiled code, so that their bodies are CPS too. */
    static final String BLOCK_STEPS = '''
        import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException

        abstract class CpsSteps extends CpsStepScript {
            def withEnv(List l, Closure c)         { enter_('withEnv', l);         try { return c() } finally { leave_('withEnv') } }
            def withCredentials(List l, Closure c) { enter_('withCredentials', l); try { return c() } finally { leave_('withCredentials') } }
            def dir(String d, Closure c)           { enter_('dir', d);             try { return c() } finally { leave_('dir') } }
            def stage(String n, Closure c)         { enter_('stage', n);           try { return c() } finally { leave_('stage') } }
            def node(String n, Closure c)          { enter_('node', n);            try { return c() } finally { leave_('node') } }
            def node(Closure c)                    { node('', c) }
            def timeout(Map m, Closure c)          { enter_('timeout', m);         try { return c() } finally { leave_('timeout') } }
            def timeout(int t, Closure c)          { timeout([time: t], c) }
            def lock(Map m, Closure c)             { enter_('lock', m);            try { return c() } finally { leave_('lock') } }
            def lock(String r, Closure c)          { lock([resource: r], c) }
            def catchError(Map m, Closure c) {
                enter_('catchError', m)
                try { c() } catch (Throwable failure) {
                    if (m.catchInterruptions == false && failure instanceof FlowInterruptedException) { throw failure }
                    caught_(m.message, failure.message, m.buildResult == null ? 'FAILURE' : m.buildResult,
                            failure instanceof FlowInterruptedException ? failure.result : null)
                } finally { leave_('catchError') }
            }
            def catchError(Closure c)              { catchError([:], c) }
            def warnError(String text, Closure c)  { catchError([message: text, buildResult: 'UNSTABLE'], c) }
            def warnError(Map m, Closure c)        { catchError([buildResult: 'UNSTABLE'] + m, c) }
            def retry(Map m, Closure c) {
                enter_('retry', m)
                int left = m.count as int
                try {
                    while (true) {
                        try { return c() } catch (Throwable failure) {
                            left--
                            if (left == 0 || !again_(m.conditions, failure)) { throw failure }
                        }
                    }
                } finally { leave_('retry') }
            }
            def retry(int count, Closure c)        { retry([count: count], c) }
            def load(String path)                  { return parsed_(path).run() }
        }'''

    /** A var of another library, which comes before ours in the controller's configuration. */
    void addVar(String name, String source) { others.vars[name] = source }

    /** Another library, after those that are there or as the first: var -> source, as text or file. */
    Library addLibrary(String name, Map<String, Object> vars, boolean isTrusted = true, boolean first = false) {
        Library library = new Library(name, isTrusted, vars)
        libraries.add(first ? 0 : libraries.size(), library)
        return library
    }

    /** A library from its checkout, as the controller loads it: one with a symbolic link anywhere in it is rejected. */
    Library addCheckout(String name, File checkout, boolean isTrusted = true, boolean first = false) {
        Stream<Path> paths = Files.walk(checkout.toPath())
        try {
            if (paths.anyMatch { Path path -> Files.isSymbolicLink(path) }) { throw new AbortException('Rejecting library: symlink found') }
        } finally { paths.close() }
        steps.resources.add(first ? 0 : steps.resources.size(), new File(checkout, 'resources'))
        return addLibrary(name, varsOf(checkout), isTrusted, first)
    }

    private static Map<String, Object> varsOf(File checkout) {
        List<File> files = new File(checkout, 'vars').listFiles().findAll { it.name.endsWith('.groovy') }
        return files.collectEntries { [(it.name - '.groovy'): it] }
    }

    /** The library whose var of that name counts: the first trusted one, else the first; the order in @Library says nothing. */
    Library owner(String name) {
        List<Library> having = libraries.findAll { it.vars.containsKey(name) }
        return having.find { it.isTrusted } ?: having ? having[0] : null
    }

    private Class classOf(String name) {
        Library library = owner(name)
        Object source = library.vars[name]
        if (!(source instanceof Class)) {
            source = (library.isTrusted ? trusted : untrusted).parseClass(source instanceof File ? source.getText('UTF-8') : source as String, name + '.groovy')
            library.vars[name] = source
        }
        return source as Class
    }

    /** Runs the Jenkinsfile's text to its end as if all of it stood in `node { }`; @Library lines are Jenkins' own business. */
    Object run(String jenkinsfile) { runIn(steps.take(new Scope(null, 'node'), ''), jenkinsfile) }

    /** The same without a node around it, as Jenkins runs it. */
    Object runWithoutNode(String jenkinsfile) { runIn(null, jenkinsfile) }

    private Object runIn(Scope around, String jenkinsfile) {
        CURRENT.set(this)
        Script script = (Script) untrusted.parseClass(jenkinsfile.replaceAll(/(?m)^\s*@Library\(.*\)\s+_\s*$/, ''), 'WorkflowScript.groovy').newInstance()
        Branch root = new Branch(id: ++lastBranch, name: '', scope: around, program: new Continuable(script, Envs.empty(invoker())))
        branches.clear()
        branches << root
        end = null
        advance(root, new Outcome(null, null))
        while (end == null) { goOn() }
        if (end.failure) { steps.worsen(end.abnormal instanceof FlowInterruptedException ? end.abnormal.result : 'FAILURE') }
        assert mismatches.empty
        assert end.failure || gate.rejected.empty : "the sandbox rejected calls, and the program went on: ${gate.rejected}"
        return end.replay()
    }

    private Invoker invoker() { sandboxed ? new SandboxInvoker() : DefaultInvoker.INSTANCE }

    // Branches

    /** Performs the step of the next branch that can go on; if all wait, time passes. */
    private void goOn() {
        Branch next = branches.find { Branch one -> one.request != null && (one.stop != null || !steps.waits(one.request, one.scope, one.id)) }
        if (next == null) {
            letTimePass()
            return
        }
        branches.remove(next)           // the other branches come first when it is over
        branches << next
        perform(next)
        if (steps.aborted != null) {
            branches.findAll { it.request != null && !it.is(next) }.each { Branch other -> other.stop = steps.aborted }
            steps.aborted = null
        }
    }

    private void perform(Branch branch) {
        restart()
        Map request = branch.request
        Throwable stop = branch.stop
        branch.request = null
        branch.stop = null
        trace << (request.name as String)
        advance(branch, stop == null ? outcomeOf(branch, request.name as String, request.args as List) : new Outcome(null, stop))
    }

    private Outcome outcomeOf(Branch branch, String name, List args) {
        try {
            return new Outcome(call(branch, name, args), null)
        } catch (Throwable failure) {
            return new Outcome(null, failure)
        }
    }

    private int loaded = 0

    private Object call(Branch branch, String name, List args) {
        switch (name) {
            case 'enter_': branch.scope = steps.enter(args[0] as String, args.drop(1), branch.scope, branch.id, branch.name); return null
            case 'leave_': branch.scope = steps.leave(branch.scope); return null
            case 'caught_': return steps.caught(*args)
            case 'again_': return steps.again(*args)
            case 'parsed_':
                String text = steps.step('readFile', args, branch.scope, branch.name)
                return untrusted.parseClass(text, "Script${++loaded}.groovy").newInstance()
            default: return steps.step(name, args, branch.scope, branch.name)
        }
    }

    /** Called if every branch waits: a time limit ends, a sleeping branch wakes, or the build is aborted. */
    private void letTimePass() {
        List<Branch> waiting = branches.findAll { it.request != null }
        waiting.each { Branch one -> one.stop = steps.interruption(steps.now, one.scope) }
        if (steps.aborted != null) { waiting.each { Branch one -> one.stop = steps.aborted } }
        steps.aborted = null
        if (waiting.any { it.stop != null }) { return }
        List<Long> times = waiting*.request*.until.findAll { it } + waiting.collect { Scope.limit(it.scope)?.deadline }.findAll { it }
        if (!times) { throw new AssertionError("the build waits for ever: ${waiting*.request}" as Object) }
        steps.now = Math.max(steps.now, times.min())
        waiting.each { Branch one -> one.stop = steps.interruption(steps.now, one.scope) }
    }

    /** Goes on with a branch until its next step or its end. */
    private void advance(Branch branch, Outcome with) {
        steps.scope = branch.scope
        Outcome out
        if (sandboxed) { gate.register() }
        try { out = branch.program.run0(with, Continuable.categories + [SerializableIteration]) } finally { if (sandboxed) { gate.unregister() } }
        if (!branch.program.resumable) {
            ended(branch, out)
        } else if ((out.replay() as Map).name == 'parallel') {
            fork(branch, out.normal.args[0] as Map)
        } else {
            branch.request = out.normal as Map
        }
    }

    /** Starts the branches of `parallel`, which inherit the blocks around it. */
    private void fork(Branch owner, Map arguments) {
        Map<String, Closure> bodies = arguments.findAll { it.value instanceof Closure }
        Map kept = arguments.findAll { !(it.value instanceof Closure) } + [branches: bodies.keySet() as List]
        steps.record.add('parallel', [kept], Scope.secretsOf(owner.scope), owner.name)
        owner.fork = new Fork(owner: owner, failFast: arguments.failFast ?: false, names: bodies.keySet() as List)
        if (!bodies) {
            joined(owner.fork)
            return
        }
        bodies.each { String name, Closure body ->
            String path = owner.name ? "$owner.name/$name" : name
            Branch branch = new Branch(id: ++lastBranch, name: path, scope: owner.scope, parent: owner.fork, program: programOf(body))
            owner.fork.branches[name] = branch
            branches << branch
        }
        owner.fork.branches.values().toList().each { Branch branch -> advance(branch, new Outcome(null, null)) }
    }

    private Continuable programOf(Closure body) {
        try {
            body.call()
        } catch (CpsCallableInvocation called) {
            return new Continuable(called.invoke(Envs.empty(invoker()), null, Continuation.HALT))
        }
        throw new AssertionError('the body of a branch is not compiled for CPS' as Object)
    }

    private void ended(Branch branch, Outcome out) {
        branches.remove(branch)
        Fork fork = branch.parent
        if (fork == null) {
            end = out
            return
        }
        String name = fork.branches.find { it.value.is(branch) }.key
        fork.outcomes[name] = out
        if (out.failure && fork.failure == null) {
            fork.failure = out.abnormal
            if (fork.failFast) { fork.branches.findAll { !fork.outcomes.containsKey(it.key) }.each { stop(it.value, "Failed in branch $name") } }
        }
        if (fork.outcomes.size() == fork.names.size()) { joined(fork) }
    }

    private void stop(Branch branch, String why) {
        branch.fork?.branches?.values()?.each { Branch inner -> stop(inner, why) }
        if (branch.request != null) { branch.stop = new FlowInterruptedException('ABORTED', why) }
    }

    private void joined(Fork fork) {
        fork.owner.fork = null
        advance(fork.owner, new Outcome(fork.failure == null ? fork.names.collectEntries { [(it): fork.outcomes[it].normal] } : null, fork.failure))
    }

    /** The controller stops here and comes back. */
    private void restart() {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream()
        new ObjectOutputStream(bytes).withCloseable { it.writeObject(new ArrayList(branches*.program)) }
        roundTrips++
        List<Continuable> programs = new ClassLoaderObjectInputStream(untrusted, new ByteArrayInputStream(bytes.toByteArray())).readObject() as List
        branches.eachWithIndex { Branch branch, int at -> branch.program = programs[at] }
    }

    // Names

    /** Called by CpsStepScript for a name that is not a method: a var of a library, or a step. */
    Object dispatch(CpsStepScript from, String name, List args) {
        if (owner(name) != null) {
            steps.record.calls << [name: name, at: steps.record.steps.size()]
            Object v = var(from, name)
            return v.metaClass.invokeMethod(v, 'call', args as Object[])
        }
        if (name == 'enter_' ? !(args[0] in steps.missing) : (name in INTERNAL || steps.hasStep(name))) {
            return Continuable.suspend(name, [name: name, args: new ArrayList(args)])
        }
        throw new NoSuchMethodError("No such DSL method '${name == 'enter_' ? args[0] : name}' found among steps [...]")
    }

    private static final List<String> INTERNAL = ['leave_', 'caught_', 'again_', 'parsed_', 'parallel']

    /** The instance of a var that belongs to the script `from`. */
    Object var(CpsStepScript from, String name) {
        if (!from.instances.containsKey(name)) { from.instances[name] = classOf(name).newInstance() }
        return from.instances[name]
    }

    private static final List<String> GLOBALS = ['env', 'currentBuild', 'params', 'scm']

    /** Called by CpsStepScript for a property that is not in its binding. */
    Object global(CpsStepScript from, String name) {
        if (owner(name) != null) { return var(from, name) }
        switch (name) {
            case 'env': return new EnvActionImpl()
            case 'currentBuild': return new RunWrapper()
            case 'params': return new HashMap(steps.params)
            case 'scm':
                if (steps.source == null) { throw new AbortException("‘checkout scm’ is only available when using “Multibranch Pipeline”") }
                return new NotSerializableSource()
        }
        if (environment().containsKey(name)) { return environment()[name] }
        throw new MissingPropertyException(name, from.class)
    }

    /** The variables that the running branch sees. */
    Map<String, String> environment() { steps.environment() }
}

/** A library as the controller has it configured: its vars as text, file or compiled class. */
class Library {
    final String name
    final boolean isTrusted
    final Map<String, Object> vars

    Library(String name, boolean isTrusted, Map<String, Object> vars) {
        this.name = name
        this.isTrusted = isTrusted
        this.vars = new LinkedHashMap(vars)
    }
}

/** One thread of the program: the Jenkinsfile, or a branch of `parallel` in it. */
class Branch {
    int id
    String name
    Continuable program
    /** The blocks around it; the step that it is about to do; why that step is stopped instead. */
    Scope scope
    Map request
    Throwable stop
    Fork parent
    Fork fork
}

/** A `parallel` that runs. */
class Fork {
    Branch owner
    boolean failFast
    List<String> names
    final Map<String, Branch> branches = [:]
    final Map<String, Outcome> outcomes = [:]
    Throwable failure
}
