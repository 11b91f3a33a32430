import groovy.json.JsonOutput
import groovy.json.JsonSlurper

/** A program in the engine's place: writes down how it was called and answers what the test prepared, call by call. */
class FakeEngine {
    static final Map SUCCESS = [protocol: 1, version: '0', step: 's', stage: '', status: 'success', summary: 'done', pipelineEnvironment: [:], outputs: [:],
                                links: [], reports: [], bindings: [], error: null, seconds: 0.1]
    final File folder
    final File program

    /**
     * `answers`: for each call the fields that differ from SUCCESS, with `exit` for the exit code; `exit` alone leaves no result, `text` is printed as it is.
     */
    FakeEngine(File folder, List<Map> answers = [[:]]) {
        this.folder = folder
        folder.mkdirs()
        answers.eachWithIndex { Map answer, int i ->
            int exit = (answer.exit ?: 0) as int
            Map result = [exitCode: exit] + SUCCESS + answer   // in this order, as the launcher looks for a comma behind it
            result.remove('exit')
            new File(folder, "${i}.exit").text = exit
            if (answer.text) {
                new File(folder, "${i}.result").text = answer.text
            } else if (answer.keySet() != ['exit'] as Set) {
                new File(folder, "${i}.result").text = JsonOutput.prettyPrint(JsonOutput.toJson(result))
            }
        }
        program = new File(folder, 'engine')
        program.text = '''#!/bin/sh
here=$(dirname "$0")
call=0
while [ -e "$here/$call.arguments" ]; do call=$((call + 1)); done
printf '%s\\n' "$@" > "$here/$call.arguments"
env > "$here/$call.environment"
pwd > "$here/$call.folder"
while [ $# -gt 0 ]; do
    case $1 in --request) request=$2 ;; esac
    shift
done
case $request in
    env:*) printf '%s' "$TOWLINE_REQUEST" > "$here/$call.request" ;;
    *) cp "$request" "$here/$call.request" ;;
esac
echo "engine call $call" >&2
if [ -e "$here/$call.result" ]; then cat "$here/$call.result"; fi
exit "$(cat "$here/$call.exit")"
'''
        program.setExecutable(true)
    }

    int getCalls() { folder.list().count { it.endsWith('.arguments') } }

    List<String> arguments(int call = 0) { new File(folder, "${call}.arguments").readLines() }

    String requestText(int call = 0) { new File(folder, "${call}.request").text }

    Map request(int call = 0) { new JsonSlurper().parseText(requestText(call)) as Map }

    /** The text of all secrets as the engine joins it. */
    String secretsText(int call = 0) {
        Map<String, String> variables = environment(call)
        ([variables.TOWLINE_SECRETS] + (2..20).collect { variables.get('TOWLINE_SECRETS_' + it) }).findAll().join('')
    }

    /** The secrets of a call by their places, such as parameters/password. */
    Map<String, Object> secrets(int call = 0) {
        String text = secretsText(call)
        Map values = text ? new JsonSlurper().parseText(text) as Map : [:]
        Map<String, Object> found = request(call).secrets.collectEntries { String place, String key -> [(place): values.get(key)] }
        assert found.size() == values.size()
        return found
    }

    String workingFolder(int call = 0) { new File(folder, "${call}.folder").text.trim() }

    Map<String, String> environment(int call = 0) {
        new File(folder, "${call}.environment").readLines().findAll { it.contains('=') }.collectEntries { [(it.tokenize('=')[0]): it.substring(it.indexOf('=') + 1)] }
    }
}
