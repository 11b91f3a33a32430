import com.cloudbees.groovy.cps.Continuable
import com.cloudbees.groovy.cps.CpsTransformer
import com.cloudbees.groovy.cps.NonCPS
import com.cloudbees.groovy.cps.Outcome
import com.cloudbees.groovy.cps.SerializableScript
import com.cloudbees.groovy.cps.impl.Caller
import com.cloudbees.groovy.cps.impl.CpsCallableInvocation
import groovy.transform.CompileStatic
import org.apache.commons.io.input.ClassLoaderObjectInputStream
import org.codehaus.groovy.control.CompilerConfiguration
import org.codehaus.groovy.control.customizers.ImportCustomizer

/**
 * Runs a Jenkinsfile and the library the way workflow-cps does: everything CPS-compiled, the program suspended at every step,
 * and the WHOLE suspended program (stack, locals, vars, bindings) written out and read back before it goes on - what a restart
 * of the controller at that step would do. As in Jenkins a var is created for the script that names it, in that script's binding.
 */
class CpsHarness {
    static final ThreadLocal<CpsHarness> CURRENT = new ThreadLocal<>()
    final StepBackend steps
    final GroovyClassLoader gcl
    final List<String> trace = []
    final List<String> mismatches = []
    int roundTrips = 0
    private final Map<String, Class> vars = [:]

    CpsHarness(StepBackend steps, File root = new File('.')) {
        this.steps = steps
        CompilerConfiguration cc = new CompilerConfiguration()
        cc.addCompilationCustomizers(new ImportCustomizer().addImports(NonCPS.name), new CpsTransformer())
        gcl = new GroovyClassLoader(CpsHarness.classLoader, cc)
        gcl.parseClass(BLOCK_STEPS, 'CpsSteps.groovy')
        cc.scriptBaseClass = 'CpsSteps'
        new File(root, 'vars').listFiles().findAll { it.name.endsWith('.groovy') }.each { vars[it.name - '.groovy'] = gcl.parseClass(it) }
        CpsCallableInvocation.registerMismatchHandler({ Object er, String exp, Object ar, String got ->
            if (!(got == 'call' && vars.containsKey(exp))) { mismatches << ("expected to call $exp but wound up catching $got" as String) }
        } as CpsCallableInvocation.MismatchHandler)
    }

    /** Block steps in CPS-compiled code, so that their bodies are CPS too. */
    static final String BLOCK_STEPS = '''
        abstract class CpsSteps extends CpsStepScript {
            def withEnv(List l, Closure c)         { enter_('withEnv', l);         try { return c() } finally { leave_('withEnv') } }
            def withCredentials(List l, Closure c) { enter_('withCredentials', l); try { return c() } finally { leave_('withCredentials') } }
            def dir(String d, Closure c)           { enter_('dir', d);             try { return c() } finally { leave_('dir') } }
            def stage(String n, Closure c)         { enter_('stage', n);           try { return c() } finally { leave_('stage') } }
            def node(String n, Closure c)          { enter_('node', n);            try { return c() } finally { leave_('node') } }
            def node(Closure c)                    { node('', c) }
        }'''

    /** A var of another library that is loaded too. */
    void addVar(String name, String source) { vars[name] = gcl.parseClass(source, name + '.groovy') }

    /** Runs the Jenkinsfile's text to its end; @Library lines are Jenkins' own business. */
    Object run(String jenkinsfile) {
        CURRENT.set(this)
        Script s = (Script) gcl.parseClass(jenkinsfile.replaceAll(/(?m)^\s*@Library\(.*\)\s+_\s*$/, ''), 'WorkflowScript.groovy').newInstance()
        Continuable program = new Continuable(s)
        Object out = advance(program, new Outcome(null, null))
        while (program.resumable) {
            program = roundTrip(program)
            Map req = (Map) out
            trace << (req.name as String)
            Object value = null
            Throwable failure = null
            try { value = perform(req) } catch (Throwable t) { failure = t }
            out = advance(program, new Outcome(value, failure))
        }
        assert mismatches.empty
        return out
    }

    private Object advance(Continuable program, Outcome with) {
        program.run0(with, Continuable.categories + [SerializableIteration]).replay()
    }

    private Object perform(Map req) {
        if (req.name == 'enter_') { steps.enter(req.args[0] as String, req.args.drop(1)); return null }
        if (req.name == 'leave_') { steps.leave(req.args[0] as String); return null }
        return steps.step(req.name as String, req.args as List)
    }

    private Continuable roundTrip(Continuable c) {
        def bytes = new ByteArrayOutputStream()
        new ObjectOutputStream(bytes).withCloseable { it.writeObject(c) }
        roundTrips++
        new ClassLoaderObjectInputStream(gcl, new ByteArrayInputStream(bytes.toByteArray())).readObject() as Continuable
    }

    /** Called by CpsStepScript for a name that is no method: a var of a library, or a step. */
    Object dispatch(Script from, String name, List args) {
        if (vars.containsKey(name)) {
            Object v = var(from, name)
            return v.metaClass.invokeMethod(v, 'call', args as Object[])
        }
        if (name in ['enter_', 'leave_'] || steps.hasStep(name)) {
            return Continuable.suspend(name, [name: name, args: new ArrayList(args)])
        }
        throw new NoSuchMethodError("No such DSL method '$name' found among steps [...]")
    }

    /** The instance of a var that belongs to the script `from`. */
    Object var(Script from, String name) {
        if (!from.binding.hasVariable(name)) { from.binding.setVariable(name, vars[name].newInstance()) }
        return from.binding.getVariable(name)
    }

    /** Called by CpsStepScript for a property that is not in its binding. */
    Object global(Script from, String name) {
        if (vars.containsKey(name)) { return var(from, name) }
        switch (name) {
            case 'env': return new Env()
            case 'currentBuild': return new CurrentBuild()
            case 'scm':
                if (steps.source == null) { throw new IOException("'checkout scm' is only available when using Multibranch Pipeline") }
                return new NotSerializableSource()
            default: throw new MissingPropertyException(name, from.class)
        }
    }
}

/** What CpsScript is in Jenkins. */
abstract class CpsStepScript extends SerializableScript {
    @Override Object invokeMethod(String name, Object args) {
        CpsHarness.CURRENT.get().dispatch(this, name, (args instanceof Object[] ? args as List : [args]))
    }

    @Override Object getProperty(String name) {
        try { return super.getProperty(name) } catch (MissingPropertyException e) { return CpsHarness.CURRENT.get().global(this, name) }
    }
}

/** What EnvActionImpl is in Jenkins. */
class Env implements Serializable {
    @Override Object getProperty(String name) { CpsHarness.CURRENT.get().steps.environment()[name] }
}

/** What RunWrapper is in Jenkins, as far as the library knows it. */
class CurrentBuild implements Serializable {
    @Override void setProperty(String name, Object value) { CpsHarness.CURRENT.get().steps.build[name] = value }
    @Override Object getProperty(String name) { CpsHarness.CURRENT.get().steps.build[name] }
    List getBuildCauses() { CpsHarness.CURRENT.get().steps.causes }
}

/** Jenkins pickles its SCM objects; that no program of ours holds one over a step is the stricter claim. */
class NotSerializableSource { }

/** What IteratorHack is in workflow-cps: for-in over lists, sets and maps may hold steps. Static, or it would call itself. */
@CompileStatic
class SerializableIteration {
    // for-in does not announce itself through Caller, so these are unconditional
    static Iterator iterator(List l) { new Itr(new ArrayList(l)) }

    static Iterator iterator(Set c) { new Itr(new ArrayList(c)) }

    static Iterator iterator(Map m) { new Itr(new ArrayList(copy(m))) }

    static Collection keySet(Map m) { Caller.isAsynchronous(m, 'keySet') ? new LinkedHashSet(m.keySet()) : m.keySet() }

    static Collection values(Map<Object, Object> m) { Caller.isAsynchronous(m, 'values') ? new ArrayList((Collection) m.values()) : m.values() }

    static Collection entrySet(Map m) { Caller.isAsynchronous(m, 'entrySet') ? copy(m) : m.entrySet() }

    private static Collection copy(Map m) {
        List out = new ArrayList()
        for (Object e : m.entrySet()) { out.add(new AbstractMap.SimpleImmutableEntry((Map.Entry) e)) }
        return out
    }

    static class Itr implements Iterator, Serializable {
        private final ArrayList items
        private int at = 0
        Itr(ArrayList items) { this.items = items }
        boolean hasNext() { at < items.size() }
        Object next() { items.get(at++) }
        void remove() { throw new UnsupportedOperationException() }
    }
}
