import com.cloudbees.groovy.cps.Block
import com.cloudbees.groovy.cps.SerializableScript
import com.cloudbees.groovy.cps.impl.Caller
import com.cloudbees.groovy.cps.impl.CpsClosure
import groovy.transform.CompileStatic
import org.codehaus.groovy.runtime.InvokerHelper

/** What CpsScript is in Jenkins. */
abstract class CpsStepScript extends SerializableScript {
    /** The vars that this script has named. Jenkins has them in the binding, where a call would not pass by `invokeMethod`. */
    final Map<String, Object> instances = [:]

    @Override Object invokeMethod(String name, Object args) {
        CpsHarness.CURRENT.get().dispatch(this, name, (args instanceof Object[] ? args as List : [args]))
    }

    // Groovy has methods of these names for every object; Jenkins makes them steps
    Object sleep(long time) { invokeMethod('sleep', time) }

    @Override void println(Object text) { invokeMethod('echo', text as String) }

    @Override Object getProperty(String name) {
        try { return super.getProperty(name) } catch (MissingPropertyException e) { return CpsHarness.CURRENT.get().global(this, name) }
    }
}

/** A closure of the pipeline, under Jenkins' own name, for the same reason. */
class CpsClosure2 extends CpsClosure {
    CpsClosure2(Object owner, Object thisObject, List<String> parameters, Block code, com.cloudbees.groovy.cps.Env capture) {
        super(owner, thisObject, parameters, code, capture)
    }

    Object sleep(long time) { InvokerHelper.invokeMethod(owner, 'sleep', time) }
}

/** `env`, under Jenkins' own name. */
class EnvActionImpl implements Serializable {
    private static final long serialVersionUID = 1L

    @Override Object getProperty(String name) { CpsHarness.CURRENT.get().environment()[name] }

    @Override void setProperty(String name, Object value) { CpsHarness.CURRENT.get().steps.override(name, value) }
}

/** `currentBuild`, under Jenkins' own name, with what the sandbox allows of it. */
class RunWrapper implements Serializable {
    private static final long serialVersionUID = 1L

    private static StepBackend build() { CpsHarness.CURRENT.get().steps }

    String getResult() { build().build.result }

    void setResult(String result) { build().worsen(result) }

    String getCurrentResult() { build().build.result ?: 'SUCCESS' }

    /** Milliseconds since the build began. */
    long getDuration() { build().now }

    String getDescription() { build().build.description }

    void setDescription(String text) { build().build.description = text }

    String getDisplayName() { build().build.displayName ?: '#' + build().build.BUILD_NUMBER }

    void setDisplayName(String text) { build().build.displayName = text }

    int getNumber() { build().build.BUILD_NUMBER as int }

    String getAbsoluteUrl() { build().build.BUILD_URL }

    List getBuildCauses() { build().causes }

    /** Jenkins' own build object; no sandboxed code may have it. */
    Object getRawBuild() { build() }
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
