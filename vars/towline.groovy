import groovy.json.JsonSlurper

/**
 * The bridge to the engine (docs/contract.md): one shell step takes the request to the engine and
 * brings its result back. It decides nothing.
 *
 * arguments: script; step, or command: 'plan' (with stage: name, the plan of that stage only);
 * parameters of the call; ifActive: obey the stage's flags and conditions. The plan's step says
 * bindings (the Jenkins credentials to bind beforehand) and reads (the secrets of the pipeline
 * environment that the step reads; no others are sent).
 */
Map call(Map arguments) {
    String name = arguments.step ?: arguments.command
    checkPlace(name, arguments.script)
    String resource = towlineRequest.resource(arguments.script, 'towline/bridge.json')   // read first: no slurper may be alive across a step
    Map library = towlineSecrets.plain(new JsonSlurper().parseText(resource))
    Map run = [name: name, launcher: library.launcher, secrets: [:], variables: [
        'TOWLINE_CALL_COMMAND=' + (arguments.step ? 'run' : arguments.command), 'TOWLINE_CALL_STEP=' + (arguments.step ?: ''),
        'TOWLINE_CALL_STAGE=' + (arguments.stage ?: ''), 'TOWLINE_CALL_IF_ACTIVE=' + (arguments.ifActive ? 'yes' : '')]]
    run.request = towlineRequest.of(arguments, library, run.secrets)
    Map result = arguments.bindings ? settleBound(run, arguments.bindings) : settle(run)
    conclude(arguments.script, name, result)
    return result
}

/** The same for a step of the engine, if another library has a step of that name, too: towline.step('NAME', script: this). */
Map step(Map parameters, String name) {
    return call(script: parameters.script, step: name, parameters: parameters)
}

void checkPlace(String name, Object script) {
    if (script == null) {
        error('[' + name + '] the pipeline environment belongs to the Jenkinsfile: call it with script: this')
    }
    if (!env.WORKSPACE) {
        error('[' + name + '] this step runs on an agent: call it inside of node { }, or in a stage that has an agent')
    }
    if (env.WORKSPACE.matches('(?s)[A-Za-z]:.*|\\\\\\\\.*')) {
        error('[' + name + '] agents with Windows are not supported: run it on an agent with Linux, such as node(\'linux\') { }')
    }
}

/**
 * Runs the engine until it has a result that needs no further credentials, and returns that result.
 *
 * Each time that it asks for Jenkins credentials they are bound and it runs again, at most twice: for
 * the login for Vault, then for values that Vault does not hold.
 */
Map settle(Map run, int left = 2) {
    Map result = runEngine(run)
    return result.status == 'bind' && left > 0 ? settleBound(run, result.bindings, left - 1) : result
}

Map settleBound(Map run, List bindings, int left = 2) {
    Map result = [:]
    run.request.bound = run.request.bound + bindings
    withCredentials(credentialsFor(run.name, bindings)) {
        result = settle(run, left)
    }
    return result
}

/** Runs the engine in the workspace and returns its result; brings the engine to the agent if the agent lacks it. */
Map runEngine(Map run) {
    List variables = run.variables + towlineRequest.variables(run.request, run.secrets)
    Map result = launch(run, variables)
    if (result.status == 'deliver') {
        String target = result.target
        writeFile(file: target, text: libraryResource(resource: 'towline/engine.pyz', encoding: 'Base64'), encoding: 'Base64')
        result = launch(run, variables + ['TOWLINE_DELIVERED=' + target])
    }
    if (result.exitCode != 0 && goesOn(result) && result.status != 'superseded') {
        error('[' + run.name + '] the engine ended with exit code ' + result.exitCode + ' although it reported ' + result.status)
    }
    return result
}

/** The result that the launcher prints. */
Map launch(Map run, List variables) {
    String text = ''
    try {
        withEnv(variables) {
            text = sh(label: 'towline ' + run.name, returnStdout: true, script: run.launcher)
        }
    } catch (IOException ended) {   // Jenkins: AbortException
        if (!('' + ended.message).startsWith('script returned exit code')) {
            throw ended
        }
        error('[' + run.name + '] the engine was ended before it had a result (' + ended.message + '); the lines above may say why. ' +
            'next: see whether the agent ran out of memory or was shut down, then run it again')
    }
    return resultIn(run.name, text)
}

Map resultIn(String name, String text) {
    Object result = null
    try {
        result = new JsonSlurper().parseText(text)
    } catch (SecurityException rejected) {
        throw rejected
    } catch (RuntimeException ignored) {
        result = null
    }
    result = towlineSecrets.plain(result)
    if (!(result instanceof Map && result.status instanceof String)) {
        error('[' + name + '] the engine left no result that can be read; the lines above may say why. next: use library and engine of the same version')
    }
    return result
}

/** The Jenkins credentials that the engine asks for, as arguments of withCredentials. */
List credentialsFor(String name, List bindings) {
    return bindings.collect { Map one ->
        String id = one.credentialsId
        Map names = one.variables
        return one.kind == 'usernamePassword' ? usernamePassword(credentialsId: id, usernameVariable: names.username, passwordVariable: names.password) :
            one.kind == 'string' ? string(credentialsId: id, variable: names.text) :
            one.kind == 'file' ? file(credentialsId: id, variable: names.file) :
            one.kind == 'sshUserPrivateKey' ? sshUserPrivateKey(credentialsId: id, keyFileVariable: names.file) :
            error('[' + name + '] the engine asks for a credential of the unknown kind ' + one.kind + '; use library and engine of the same version')
    }
}

/** Publishes the result, and fails the build if the step failed. */
void conclude(Object script, String name, Map result) {
    script.towlineEnvironment.merge(result.pipelineEnvironment, script)
    List lines = result.links.collect { Map link -> '[' + name + '] ' + link.name + ': ' + link.target }
    if (result.status == 'superseded') {
        lines.add(describe(name, result))
    }
    if (lines) {
        echo(lines.join('\n'))
    }
    for (Map report in result.reports) {
        archiveArtifacts(artifacts: report.target, allowEmptyArchive: true)
    }
    if (result.status == 'aborted') {
        currentBuild.result = 'ABORTED'
    }
    if (!goesOn(result)) {
        error(describe(name, result))
    }
}

boolean goesOn(Map result) {
    return ['success', 'unchanged', 'skipped', 'superseded'].contains(result.status)
}

String describe(String name, Map result) {
    Map again = [message: 'the engine asks again for credentials that are already bound', category: 'config',
                 hint: 'use library and engine of the same version']
    Map fault = result.error ?: result.status == 'bind' ? again : [message: result.summary, category: 'undefined']
    return '[' + name + '] ' + fault.message + ' (category: ' + fault.category + ').' +
        (fault.where ? ' where: ' + fault.where + '.' : '') + (fault.hint ? ' next: ' + fault.hint : '')
}
