import groovy.json.JsonOutput

/**
 * What Jenkins keeps of a build for as long as the build is kept: the arguments of every step, and the messages of failed ones.
 *
 * Written after workflow-cps' ArgumentsActionImpl: a text, list or map that is larger than 1024 is replaced by a marker; a value
 * that `withCredentials` bound around the step is replaced by its variable; anything else stays as it is. Results are not kept.
 */
class BuildRecord {
    static final int LARGEST = 1024
    static final String OVERSIZE = 'OVERSIZE_VALUE'
    static final String UNSERIALIZABLE = 'UNSERIALIZABLE'
    /** Jenkins' name of the argument of a step that is called with one value. */
    static final Map<String, String> SINGLE = [
        sh: 'script', echo: 'message', error: 'message', unstable: 'message', withEnv: 'overrides', withCredentials: 'bindings', dir: 'path', stage: 'name',
        node: 'label', libraryResource: 'resource', fileExists: 'file', readFile: 'file', stash: 'name', unstash: 'name', input: 'message', lock: 'resource',
        milestone: 'ordinal', archiveArtifacts: 'artifacts', sleep: 'time']

    /** One call of a step: its name, its arguments as they are kept, the message with which it failed, and its branch of `parallel`. */
    static class Step {
        String name
        Map<String, Object> arguments
        String error
        String branch

        @Override String toString() { name + ' ' + arguments + (error ? ' failed: ' + error : '') }
    }

    final List<Step> steps = []
    /** Calls of a library's vars: name and the number of steps before the call. */
    final List<Map> calls = []

    Step add(String name, List args, Map<String, String> secrets, String branch) {
        Map<String, Object> kept = named(name, args).collectEntries { k, v -> [(k as String): kept(v, secrets)] }
        Step step = new Step(name: name, branch: branch, arguments: kept)
        steps << step
        return step
    }

    private static Map named(String name, List args) {
        if (args.size() == 1) { return args[0] instanceof Map ? args[0] as Map : [(SINGLE.getOrDefault(name, 'value')): args[0]] }
        return args.withIndex().collectEntries { Object value, int at -> ["argument$at": value] }
    }

    /** A value as it is kept. */
    static Object kept(Object value, Map<String, String> secrets) {
        if (size(value) > LARGEST) { return OVERSIZE }
        if (value instanceof Map) {
            long retained = value.size()
            Map copy = [:]
            for (Map.Entry entry in value.entrySet()) {
                copy[entry.key] = kept(entry.value, secrets)
                retained += (entry.key as String).length() + size(copy[entry.key])
                if (retained > LARGEST) { return OVERSIZE }
            }
            return copy
        }
        if (value instanceof List || value instanceof Object[]) {
            long retained = value.size()
            List copy = []
            for (Object item in value) {
                copy << kept(item, secrets)
                retained += size(copy.last())
                if (retained > LARGEST) { return OVERSIZE }
            }
            return copy
        }
        if (value instanceof CharSequence) {
            return secrets.inject(value.toString()) { String text, String name, String secret -> secret ? text.replace(secret, '${' + name + '}') : text }
        }
        return value == null || value instanceof Number || value instanceof Boolean ? value : UNSERIALIZABLE
    }

    private static long size(Object value) {
        if (value == null) { return 0 }
        if (value == OVERSIZE || value == UNSERIALIZABLE) { return 1 }
        return value instanceof CharSequence || value instanceof Collection || value instanceof Map || value instanceof Object[] ? value.size() : 1
    }

    List<String> getNames() { steps*.name }

    /** The number of steps by name: [sh: 1, withEnv: 1]. */
    Map<String, Integer> getCounts() { counted(steps) }

    /** The same per call of a library's var: the steps from each call up to the next call of that var, or to the end. */
    List<Map<String, Integer>> perCall(String var) {
        List<Integer> starts = calls.findAll { it.name == var }*.at
        starts.withIndex().collect { int from, int call -> counted(steps.subList(from, call + 1 < starts.size() ? starts[call + 1] : steps.size())) }
    }

    private static Map<String, Integer> counted(List<Step> steps) { steps.countBy { it.name } as Map<String, Integer> }
}

/** Searches the whole record of a build for secrets, in every form that a secret can have there. */
class SecretSearch {
    /** Place -> texts. */
    final Map<String, List<String>> places = [:]

    /** The forms of a secret: plain, URL-quoted, base64 at each of the three offsets, JSON-escaped, hexadecimal, quoted for a shell. */
    static Map<String, String> forms(String secret) {
        byte[] bytes = secret.getBytes('UTF-8')
        String url = URLEncoder.encode(secret, 'UTF-8'), json = JsonOutput.toJson(secret)[1..-2]
        Map<String, String> all = [
            plain: secret, url: url, 'url with %20': url.replace('+', '%20'), hex: bytes.encodeHex().toString(), base64: bytes.encodeBase64().toString(),
            json: json, 'json in UTF-8': secret.replace('\\', '\\\\').replace('"', '\\"').replace('\n', '\\n'), 'json in json': JsonOutput.toJson(json)[1..-2],
            shell: secret.replace("'", "'\\''"), 'shell with double quotes': secret.replace("'", "'\"'\"'")]
        for (int shift in 0..2) {     // a secret inside of a longer text that is encoded as a whole: without the characters that its neighbours change
            String text = (([0] * shift + (bytes as List)) as byte[]).encodeBase64().toString().replaceAll('=+$', '')
            String inside = text.substring(shift == 0 ? 0 : shift + 1, Math.max(shift == 0 ? 0 : shift + 1, ((bytes.length + shift).intdiv(3)) * 4))
            if (inside.length() >= 6) {
                all["base64 at $shift" as String] = inside
                all["base64url at $shift" as String] = inside.replace('+', '-').replace('/', '_')
            }
        }
        return all
    }

    /** Each place with a secret, once: 'place: form of the secret'. */
    List<String> find(Collection<String> secrets) {
        List<String> found = []
        for (String secret in secrets.findAll { it }.toSet()) {
            forms(secret).groupBy { it.value }.each { String text, Map<String, String> form ->
                places.each { String place, List<String> texts -> if (texts.any { it?.contains(text) }) { found << ("$place: ${form.keySet()[0]}" as String) } }
            }
        }
        return found.toSet().sort()
    }
}
