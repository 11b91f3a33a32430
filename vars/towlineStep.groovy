/**
 * Runs one step of a stage: ours by the engine, another library's by its name.
 *
 * task: script, stage, defaults, configuration (the project's, for steps of Piper's library); step: the plan's part.
 */
void call(Map task, Map step) {
    if (step.failOnError == false) {
        tolerate(task, step)
    } else {
        run(task, step)
    }
}

/** A step that may fail makes the build unstable, and the pipeline environment lists it (Piper: failOnError). */
void tolerate(Map task, Map step) {
    long begin = currentBuild.duration as long
    try {
        if (step.timeoutMinutes) {
            timeout(time: step.timeoutMinutes as int, unit: 'MINUTES') { run(task, step) }
        } else {
            run(task, step)
        }
    } catch (Exception fault) {
        boolean late = step.timeoutMinutes && (currentBuild.duration as long) - begin >= (step.timeoutMinutes as int) * 60000
        if (isInterruption(fault) && !late) {   // somebody aborted the build
            throw fault
        }
        List failed = (task.script.towlineEnvironment.get('unstableSteps') ?: []) + [step.name]
        task.script.towlineEnvironment.merge([unstableSteps: failed], task.script)
        unstable('[towlineStep] ' + step.name + ' failed, and the build goes on because of failOnError: false: ' + fault.message)
    }
}

void run(Map task, Map step) {
    if (step.engine) {
        Map result = towline(script: task.script, step: step.name, ifActive: true, bindings: step.bindings, reads: step.reads,
                             parameters: [stageName: task.stage, defaults: task.defaults])
        if (result.status == 'success') {
            task.script.towlineEnvironment.done.add(task.stage + ': ' + result.summary)
        }
    } else if (step.active == 'yes' || isActiveNow(task, step.name)) {
        runOther(task, step)
    }
}

/** A step of another library always runs when it is called, so an undecided one is planned again first. */
boolean isActiveNow(Map task, String name) {
    for (Map now in towlineStage.planOf([script: task.script, defaults: task.defaults], task.stage).steps) {
        if (now.name == name) {
            if (now.active != 'yes') {
                echo('[towlineStage] ' + name + ' is left out in stage ' + task.stage + ': ' + now.why)
            }
            return now.active == 'yes'
        }
    }
    return false
}

void runOther(Map task, Map step) {
    Map given = [script: task.script]
    given.putAll(step.parameters ?: [:])
    task.script.towlineEnvironment.prepare(task.configuration, task.script)
    try {
        task.script."${step.name}"(given)
    } catch (NoSuchMethodError missing) {
        if (!isMissing(missing, step.name)) {
            throw missing
        }
        if (step.parts) {   // what the missing step would have run itself
            for (Map part in step.parts) { call(task, part) }
            return
        }
        if (step.required == false) {
            echo('[towlineStage] ' + step.name + ' is left out in stage ' + task.stage + ': no loaded library has it')
            return
        }
        error('[towlineStage] ' + step.name + ' is active in stage ' + task.stage + (step.where ? ' (' + step.where + ')' : '') +
            ', but no loaded library has it; load a library that has it, or switch the step off')
    }
}

/** Whether Jenkins says that no library and no plugin has this step. */
boolean isMissing(NoSuchMethodError fault, String name) {
    return fault.message.startsWith('No such DSL method \'' + name + '\'')
}

/** Whether somebody aborted the build, or a time limit has passed; Jenkins does not let a library ask which. */
boolean isInterruption(Throwable fault) {
    return String.valueOf(fault).contains('FlowInterruptedException')
}
