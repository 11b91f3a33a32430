/**
 * Runs the whole pipeline of a project: one plan, then its active stages in order, and Post in any case.
 *
 * If Confirm asks somebody, no agent waits for the answer: the stages after it run on an agent of their own, with the same commit.
 */
void call(Map parameters = [:]) {
    List unknown = parameters.keySet().minus(['script', 'nodeLabel', 'defaults']) as List
    if (unknown) {   // a misspelt `defaults` would drop the platform team's rules
        error('[towlinePipeline] unknown parameter ' + unknown[0] + '; the parameters are script, nodeLabel and defaults')
    }
    Map run = [plan: [stages: []], source: [:]]
    try {
        runStages(parameters, run)
    } catch (Throwable fault) {   // so that Post can tell how the build ended
        currentBuild.result = towlineStep.isInterruption(fault) ? 'ABORTED' : 'FAILURE'
        throw fault
    } finally {
        towlinePost(script: parameters.script, nodeLabel: parameters.nodeLabel, defaults: parameters.defaults, plan: run.plan, commit: run.source.GIT_COMMIT)
    }
}

void runStages(Map parameters, Map run) {
    List after = []
    node(parameters.nodeLabel ?: '') {
        run.source = towlineSource(script: parameters.script)
        withEnv(towlineSource.variables(run.source)) {
            run.plan = towlineInit(parameters)
            after = runUntilConfirm(parameters, run.plan)
        }
    }
    if (after) {
        towlineConfirm(script: parameters.script, confirm: run.plan.confirm)
        node(parameters.nodeLabel ?: '') {
            withEnv(towlineSource.variables(towlineSource(script: parameters.script, commit: run.source.GIT_COMMIT))) {
                runAll(parameters, run.plan, after)
            }
        }
    }
}

/** Runs the stages; if Confirm has to ask before one of them, returns that one and all after it. */
List runUntilConfirm(Map parameters, Map plan) {
    List stages = plan.stages.findAll { Map part -> part.active != 'no' && !part.post }
    int last = stages.findIndexOf { Map part -> part.afterConfirm }
    runAll(parameters, plan, last < 0 ? stages : stages.take(last))
    List after = last < 0 ? [] : stages.drop(last)
    if (after && towlineConfirm.isAsked(plan.confirm)) {
        return after
    }
    runAll(parameters, plan, after)
    return []
}

void runAll(Map parameters, Map plan, List stages) {
    for (Map part in stages) {
        towlineStage(script: parameters.script, name: part.name, plan: part, configuration: plan.configuration, defaults: parameters.defaults)
        if (part.technicalName == 'init' && plan.version?.value && !parameters.script.towlineEnvironment.get('artifactVersion')) {
            parameters.script.towlineEnvironment.merge([artifactVersion: plan.version.value], parameters.script)
        }
    }
}
