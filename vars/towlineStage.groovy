/**
 * Runs one stage: all steps that the plan does not exclude.
 *
 * If the plan is undecided about a step of Towline, the step itself decides (--if-active).
 */
void call(Map parameters = [:]) {
    List unknown = parameters.keySet().minus(['script', 'name', 'stageName', 'plan', 'defaults']) as List
    if (unknown) {   // a misspelt `defaults` would drop the platform team's rules
        error('[towlineStage] unknown parameter ' + unknown[0] + '; the parameters are script, name, stageName, plan and defaults')
    }
    String name = parameters.name ?: parameters.stageName ?: env.STAGE_NAME
    if (!name) {
        error('[towlineStage] which stage? Call it with a name, as in towlineStage script: this, name: \'Build\'')
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

/** A new plan of one stage. */
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

/** A step of another library always runs when it is called, so an undecided one is planned again first. */
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
        error('[towlineStage] ' + step.name + ' is active, but no loaded library has it; load a library that has it, or switch the step off')
    }
}
