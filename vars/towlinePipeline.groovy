/** The whole pipeline of a project: plan once, then every stage that is active, in order, on one agent. */
void call(Map parameters = [:]) {
    List unknown = parameters.keySet().minus(['script', 'nodeLabel', 'defaults']) as List
    if (unknown) {   // a misspelt `defaults` would leave out the rules of the platform team
        error('[towlinePipeline] there is no parameter ' + unknown[0] + ', but script, nodeLabel and defaults')
    }
    Object script = parameters.script
    node(parameters.nodeLabel ?: '') {
        withEnv(checkOut(script)) {
            Map planned = towline(script: script, command: 'plan', parameters: [defaults: parameters.defaults])
            echo('[towlinePipeline] ' + planned.summary)
            for (Map part in planned.outputs.stages) {
                if (part.active != 'no') {
                    towlineStage(script: script, name: part.name, plan: part, defaults: parameters.defaults)
                }
            }
        }
    }
}

/** Checks the project out where the job knows its source: where from, and which commit, as environment variables. */
List checkOut(Object script) {
    if (script == null || !hasSource(script)) {
        return []
    }
    Object checkedOut = checkout(script.scm)
    List variables = []
    for (String name in ['GIT_URL', 'GIT_COMMIT']) {
        if (checkedOut instanceof Map && checkedOut.get(name)) {
            variables.add(name + '=' + checkedOut.get(name))
        }
    }
    return variables
}

boolean hasSource(Object script) {
    try {
        return script.scm != null
    } catch (MissingPropertyException | IOException ignored) {   // a job with an inline script has no source (Jenkins: AbortException)
        return false
    }
}
