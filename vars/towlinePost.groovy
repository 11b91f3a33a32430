/**
 * Runs what comes after every build, failed and aborted ones too: the steps of the stage Post, each by itself.
 *
 * arguments: script, nodeLabel, defaults; plan: of the whole pipeline; commit: what was built. A step that fails here hides
 * neither the other steps nor how the build ended.
 */
void call(Map arguments) {
    describe(arguments.script)
    List parts = arguments.plan.stages.findAll { Map part -> part.post && part.active != 'no' && isNeeded(arguments.script, part) }
    if (!parts) {
        return
    }
    boolean failed = currentBuild.result != null
    try {
        node(arguments.nodeLabel ?: '') {
            withEnv(towlineSource.variables(towlineSource(script: arguments.script, commit: arguments.commit))) {
                towlineStage(script: arguments.script, name: parts[0].name, plan: parts[0], configuration: arguments.plan.configuration,
                             defaults: arguments.defaults)
            }
        }
    } catch (Exception fault) {
        if (!failed) {
            throw fault
        }
        echo('[towlinePost] failed, too: ' + fault.message)
    }
}

/** Whether a step of the stage would do anything: an agent is not worth a note that no library has its steps. */
boolean isNeeded(Object script, Map part) {
    for (Map step in part.steps) {
        if (step.active != 'no' && (step.engine || step.required || isVar(script, step.name))) {
            return true
        }
    }
    return part.extensions ? true : false
}

boolean isVar(Object script, String name) {
    try {
        return script."${name}" != null
    } catch (MissingPropertyException ignored) {
        return false
    }
}

/** Says on the page of the build what it has pushed and deployed. */
void describe(Object script) {
    if (script != null && script.towlineEnvironment.done) {
        currentBuild.description = script.towlineEnvironment.done.join('\n')
    }
}
