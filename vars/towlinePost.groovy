/**
 * Runs what comes after every build, failed and aborted ones too: the steps of the stage Post, each by itself.
 *
 * arguments: script, nodeLabel, defaults; plan: of the whole pipeline; commit: what was built. A step that fails here hides
 * neither the other steps nor how the build ended.
 */
void call(Map arguments) {
    describe(arguments.script)
    List parts = arguments.plan.stages.findAll { Map part -> part.technicalName == 'postPipelineHook' && part.active != 'no' }
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

/** Says on the page of the build what it has pushed and deployed. */
void describe(Object script) {
    if (script != null && script.towlineEnvironment.done) {
        currentBuild.description = script.towlineEnvironment.done.join('\n')
    }
}
