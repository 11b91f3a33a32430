import groovy.json.JsonOutput
import groovy.json.JsonSlurperClassic

/** A program in the engine's place: writes down how it was called and answers what the test prepared, call by call. */
class FakeEngine {
    static final Map SUCCESS = [protocol: 1, version: '0', step: 's', stage: '', status: 'success', summary: 'done', pipelineEnvironment: [:], outputs: [:],
                                links: [], reports: [], bindings: [], error: null, seconds: 0.1]
    final File folder
    final File program

    /** `answers`: per call what differs from SUCCESS, with `exit` for the exit code; `exit` alone leaves no result behind. */
    FakeEngine(File folder, List<Map> answers = [[:]]) {
        this.folder = folder
        folder.mkdirs()
        answers.eachWithIndex { Map answer, int i ->
            boolean silent = answer.keySet() == ['exit'] as Set
            Map result = SUCCESS + answer
            result.remove('exit')
            new File(folder, "${i}.exit").text = answer.exit ?: 0
            if (!silent) { new File(folder, "${i}.result").text = JsonOutput.toJson(result) }
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
    case $1 in --request) request=$2 ;; --result) result=$2 ;; esac
    shift
done
cp "$request" "$here/$call.request"
ls "$(dirname "$request")" > "$here/$call.listing"
echo "engine call $call"
if [ -e "$here/$call.result" ]; then cp "$here/$call.result" "$result"; fi
exit "$(cat "$here/$call.exit")"
'''
        program.setExecutable(true)
    }

    int getCalls() { folder.list().count { it.endsWith('.arguments') } }

    List<String> arguments(int call = 0) { new File(folder, "${call}.arguments").readLines() }

    String requestText(int call = 0) { new File(folder, "${call}.request").text }

    Map request(int call = 0) { new JsonSlurperClassic().parseText(requestText(call)) as Map }

    String workingFolder(int call = 0) { new File(folder, "${call}.folder").text.trim() }

    List<String> listing(int call = 0) { new File(folder, "${call}.listing").readLines() }

    Map<String, String> environment(int call = 0) {
        new File(folder, "${call}.environment").readLines().findAll { it.contains('=') }.collectEntries { [(it.tokenize('=')[0]): it.substring(it.indexOf('=') + 1)] }
    }
}
