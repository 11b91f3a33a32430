/** Runs one stage: every step that the plan does not rule out. Its own steps settle what is undecided themselves (--if-active). */
void call(Map parameters = [:]) {
    List unknown = parameters.keySet().minus(['script', 'name', 'stageName', 'plan', 'defaults']) as List
    if (unknown) {   // a misspelt `defaults` would leave out the rules of the platform team
        error('[towlineStage] there is no parameter ' + unknown[0] + ', but script, name, stageName, plan and defaults')
    }
    String name = parameters.name ?: parameters.stageName ?: env.STAGE_NAME
    if (!name) {
        error('[towlineStage] which stage? Call it with name: as in towlineStage script: this, name: \'Build\'')
    }
    if (env.STAGE_NAME == name) {
        runSteps(parameters, name)
    } else {
        stage(name) { runSteps(parameters, name) }
    }
}

void runSteps(Map parameters, String name) {
    Map plan = parameters.plan ?: planOf(parameters, name)
    for (Map step in plan.steps) {
        if (step.active != 'no') {
            runStep(parameters, name, step)
        }
    }
}

/** The plan of one stage as it stands now. */
Map planOf(Map parameters, String name) {
    Map result = towline(script: parameters.script, command: 'plan', stage: name, parameters: [stageName: name, defaults: parameters.defaults])
    Map plan = result.outputs.stages[0]
    if (plan.active == 'no') {
        echo('[towlineStage] nothing to do in stage ' + name + ': ' + plan.why)
    }
    return plan
}

void runStep(Map parameters, String name, Map step) {
    if (step.engine) {
        towline(script: parameters.script, step: step.name, ifActive: true, parameters: [stageName: name, defaults: parameters.defaults])
    } else if (step.active == 'yes' || isActiveNow(parameters, name, step.name)) {
        runOther(parameters.script, step)
    }
}

/** Another library's step always runs when it is called: what was undecided before the Build stage is asked for once more. */
boolean isActiveNow(Map parameters, String name, String step) {
    for (Map now in planOf(parameters, name).steps) {
        if (now.name == step) {
            if (now.active != 'yes') {
                echo('[towlineStage] ' + step + ' is left out in stage ' + name + ': ' + now.why)
            }
            return now.active == 'yes'
        }
    }
    return false
}

void runOther(Object script, Map step) {
    Map given = [script: script]
    given.putAll(step.parameters ?: [:])
    try {
        script."${step.name}"(given)
    } catch (NoSuchMethodError missing) {
        if (!missing.message.startsWith('No such DSL method \'' + step.name + '\'')) {
            throw missing
        }
        error('[towlineStage] ' + step.name + ' is active, but no library that is loaded offers it; load one that does, or switch the step off')
    }
}
