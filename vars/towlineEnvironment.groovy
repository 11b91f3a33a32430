/**
 * The common pipeline environment. Keys are flat, such as container/imageNameTag; values are texts,
 * numbers, booleans, lists or maps.
 *
 * Jenkins keeps one instance of a var for each script that names it. The steps use the instance of the
 * Jenkinsfile: script.towlineEnvironment.
 */
class towlineEnvironment implements Serializable {

    private static final long serialVersionUID = 1L

    /** Texts of the library's resources, which are read once in a build. */
    final Map resources = [:]
    /** What the build has pushed and deployed, a line each. */
    final List done = []
    private final Map values = [:]

    Object get(String key) {
        return values.get(key)
    }

    void set(String key, Object value) {
        values.put(key, value)
    }

    /** All values; with a script also those of Piper's library, if it is loaded. Towline's own values win. */
    Map all(Object script = null) {
        Map known = [:]
        Object piper = pipers(script)
        if (piper != null) {
            known.putAll(piper.getCPEMap(script) ?: [:])
        }
        known.putAll(values)
        return known
    }

    /** The keys of `known` that Towline did not set: Piper may have read their values from the workspace. */
    List unproven(Map known) {
        List keys = []
        for (Object key in known.keySet()) {
            if (!values.containsKey(key)) {
                keys.add(key.toString())
            }
        }
        return keys
    }

    /**
     * Stores the changes; with a script also in Piper's library, if it is loaded.
     *
     * The handle of a secret (docs/trust.md) stays here: a step of Piper's would take it for the secret.
     */
    void merge(Map changes, Object script = null) {
        values.putAll(changes ?: [:])
        Object piper = changes ? pipers(script) : null
        if (piper != null) {
            Map shared = [:]
            for (Object key in changes.keySet()) {
                if (!script.towlineSecrets.isHandle(changes.get(key))) {
                    shared.put(key, changes.get(key))
                }
            }
            piper.setCPEMap(script, shared)
        }
    }

    /** Gives Piper's library, if it is loaded and has none, the project's configuration: its Groovy steps read it there. */
    void prepare(Map configuration, Object script) {
        Object piper = configuration ? pipers(script) : null
        if (piper != null && !piper.configuration) {
            piper.configuration = configuration
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
