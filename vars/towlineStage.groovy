/**
 * Runs one stage: all steps that the plan does not exclude, inside the stage's lock and the project's extension of it.
 *
 * If the plan is undecided about a step of Towline, the step itself decides (--if-active).
 */
void call(Map parameters = [:]) {
    List unknown = parameters.keySet().minus(['script', 'name', 'stageName', 'plan', 'configuration', 'defaults']) as List
    if (unknown) {   // a misspelt `defaults` would drop the platform team's rules
        error('[towlineStage] unknown parameter ' + unknown[0] + '; the parameters are script, name, stageName, plan and defaults')
    }
    String name = parameters.name ?: parameters.stageName ?: env.STAGE_NAME
    if (!name) {
        error('[towlineStage] which stage? Call it with a name, as in towlineStage script: this, name: \'Build\'')
    }
    String title = parameters.plan?.title ?: name   // the technical name, if the project wants to see that
    if (env.STAGE_NAME == name) {
        runStage(parameters, name)
    } else {
        stage(title) { title == name ? runStage(parameters, name) : withEnv(['STAGE_NAME=' + name]) { runStage(parameters, name) } }
    }
}

void runStage(Map parameters, String name) {
    Map plan = parameters.plan ?: planOf(parameters, name)
    Map task = [script: parameters.script, stage: name, defaults: parameters.defaults, configuration: parameters.configuration]
    Map order = parameters.plan ? plan : [:]   // in a Jenkinsfile of its own, the order of builds is that file's business
    towlineOrder(order) {
        if (plan.ownNode) {
            onNode(task, plan.node) { runSteps(task, plan) }
        } else {
            runSteps(task, plan)
        }
    }
}

void runSteps(Map task, Map plan) {
    towlineExtension(task, plan) {
        if (plan.parallel) {
            runSideBySide(task, plan)
        } else {
            runInOrder(task, plan)
        }
    }
}

/** Runs the body on a further agent, with the same commit. */
void onNode(Map task, String label, Closure body) {
    String commit = env.GIT_COMMIT
    node(label ?: '') {
        withEnv(towlineSource.variables(towlineSource(script: task.script, commit: commit))) { body() }
    }
}

/** A new plan of one stage. */
Map planOf(Map parameters, String name) {
    Map result = towline(script: parameters.script, command: 'plan', stage: name, parameters: [stageName: name, defaults: parameters.defaults])
    Map plan = result.outputs.stages[0]
    if (plan.active == 'no') {
        echo('[towlineStage] nothing to do in stage ' + name + ': ' + plan.why)
    }
    return plan
}

/** Runs the steps; after a failure only those that have to run all the same (results of tests). */
void runInOrder(Map task, Map plan) {
    Throwable first = null
    for (Map step in plan.steps) {
        if (step.active != 'no' && (first == null || step.afterFailure)) {
            try {
                towlineStep(task, step)
            } catch (Throwable fault) {
                if (first != null) {
                    echo('[towlineStage] ' + step.name + ' failed, too: ' + fault.message)
                }
                first = first ?: fault
            }
        }
    }
    if (first != null) {
        throw first
    }
}

/** Each step on an agent of its own, as Piper runs scans; one that fails does not stop the others. */
void runSideBySide(Map task, Map plan) {
    Map branches = [failFast: false]
    for (Map step in plan.steps.findAll { Map part -> part.active != 'no' }) {
        branches[step.name] = branchOf(task, plan, step)
    }
    parallel(branches)
}

Closure branchOf(Map task, Map plan, Map step) {
    return { onNode(task, plan.node) { towlineStep(task, step) } }
}
