/**
 * The common pipeline environment: flat keys such as container/imageNameTag; values are texts, numbers, booleans, lists or maps.
 *
 * Jenkins keeps one instance of a var for each script that names it. The one that counts is the Jenkinsfile's: script.towlineEnvironment.
 */
class towlineEnvironment implements Serializable {

    private static final long serialVersionUID = 1L

    private final Map values = [:]

    Object get(String key) {
        return values.get(key)
    }

    void set(String key, Object value) {
        values.put(key, value)
    }

    /** Everything that is known; with a script also what Piper's library knows, where that one is loaded: ours wins. */
    Map all(Object script = null) {
        Map known = [:]
        Object piper = pipers(script)
        if (piper != null) {
            known.putAll(piper.getCPEMap(script) ?: [:])
        }
        known.putAll(values)
        return known
    }

    /** The keys of `known` that are not ours: Piper's library may have read their values from files of the workspace. */
    List unproven(Map known) {
        List keys = []
        for (Object key in known.keySet()) {
            if (!values.containsKey(key)) {
                keys.add(key.toString())
            }
        }
        return keys
    }

    /** Takes the changes over, and with a script hands them on to Piper's library, where that one is loaded. */
    void merge(Map changes, Object script = null) {
        values.putAll(changes ?: [:])
        Object piper = changes ? pipers(script) : null
        if (piper != null) {
            piper.setCPEMap(script, new LinkedHashMap(changes))
        }
    }

    protected Object pipers(Object script) {
        if (script == null) {
            return null
        }
        try {
            return script.commonPipelineEnvironment
        } catch (MissingPropertyException ignored) {   // Piper's library is not loaded
            return null
        }
    }
}
