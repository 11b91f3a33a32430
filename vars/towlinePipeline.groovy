/** Runs the whole pipeline of a project on one agent: one plan, then all active stages in order. */
void call(Map parameters = [:]) {
    List unknown = parameters.keySet().minus(['script', 'nodeLabel', 'defaults']) as List
    if (unknown) {   // a misspelt `defaults` would drop the platform team's rules
        error('[towlinePipeline] unknown parameter ' + unknown[0] + '; the parameters are script, nodeLabel and defaults')
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

/** Checks out the project if the job knows its source; returns its URL and commit as environment variables. */
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
