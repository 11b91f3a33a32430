import groovy.json.JsonOutput
import groovy.json.JsonSlurperClassic

/**
 * The bridge to the engine (docs/contract.md): writes the request, runs the engine, reads its result.
 * It decides nothing.
 *
 * arguments: script; step, or command: 'plan' (with stage: name, the plan of that stage only);
 * parameters of the call; ifActive: obey the stage's flags and conditions.
 */
Map call(Map arguments) {
    String name = arguments.step ?: arguments.command
    if (arguments.script == null) {
        error('[' + name + '] the pipeline environment belongs to the Jenkinsfile: call it with script: this')
    }
    String folder = env.WORKSPACE_TMP + '/towline-' + UUID.randomUUID()   // pwd(tmp: true) would be in the workspace inside of dir()
    List variables = ['TOWLINE_CALL_FOLDER=' + folder, 'TOWLINE_CALL_COMMAND=' + (arguments.step ? 'run' : arguments.command),
                      'TOWLINE_CALL_STEP=' + (arguments.step ?: ''), 'TOWLINE_CALL_STAGE=' + (arguments.stage ?: ''),
                      'TOWLINE_CALL_IF_ACTIVE=' + (arguments.ifActive ? 'yes' : '')]
    Map request = requestFor(arguments, variables)
    Map result = [:]
    try {
        writeFile(file: folder + '/engine.sh', text: libraryResource('towline/engine.sh'), encoding: 'UTF-8')
        result = settle(name, folder, variables, request)
    } finally {
        dir(folder) { deleteDir() }
    }
    conclude(arguments.script, name, result)
    return result
}

/**
 * Runs the engine until it has a result that needs no further credentials, and returns that result.
 *
 * Each time that it asks for Jenkins credentials they are bound and it runs again, at most twice: for
 * the login for Vault, then for values that Vault does not hold.
 */
Map settle(String name, String folder, List variables, Map request, int left = 2) {
    writeFile(file: folder + '/request.json', text: JsonOutput.toJson(request), encoding: 'UTF-8')
    Map result = runEngine(name, folder, variables)
    if (result.status == 'bind' && left > 0) {
        request.bound = request.bound + result.bindings
        withCredentials(credentialsFor(name, result.bindings)) {
            result = settle(name, folder, variables, request, left - 1)
        }
    }
    return result
}

/** The request of docs/contract.md; secret values go to `variables` (NAME=value) instead. */
Map requestFor(Map arguments, List variables) {
    Map parameters = new LinkedHashMap(arguments.parameters ?: [:])
    Map request = [
        protocol: 1,
        version: libraryResource('towline/VERSION').trim(),
        step: arguments.step ?: '',
        stage: parameters.stageName ?: env.STAGE_NAME ?: '',
        secrets: [:],
        bound: [],
        build: buildFacts(),
        defaults: documents(parameters.defaults ?: []),
    ]
    for (String ours in ['script', 'stageName', 'defaults']) { parameters.remove(ours) }
    request.parameters = towlineSecrets.withoutSecrets(parameters, 'parameters/', request.secrets, variables)
    Map known = arguments.script.towlineEnvironment.all(arguments.script)
    request.pipelineEnvironment = towlineSecrets.withoutSecrets(known, 'pipelineEnvironment/', request.secrets, variables)
    request.unproven = arguments.script.towlineEnvironment.unproven(known)
    return request
}

/**
 * Facts that Jenkins has about the build; user and password are removed from URLs.
 *
 * startedBy is the id of a user, else Jenkins' description of the cause.
 */
Map buildFacts() {
    Map variables = [number: 'BUILD_NUMBER', url: 'BUILD_URL', job: 'JOB_NAME', branch: 'BRANCH_NAME', tag: 'TAG_NAME', changeRequest: 'CHANGE_ID',
                     sourceRepository: 'GIT_URL', sourceCommit: 'GIT_COMMIT']
    List causes = currentBuild.getBuildCauses()
    Map facts = [startedBy: (causes*.userId + causes*.shortDescription).find { Object said -> said instanceof String } ?: '']
    for (String fact in variables.keySet()) {
        if (env.getProperty(variables[fact])) {
            facts[fact] = env.getProperty(variables[fact]).replaceFirst('://[^/]*@', '://')
        }
    }
    return facts
}

/** The platform team's default documents (one, or a list): maps of name and text, or names of library resources. */
List documents(Object defaults) {
    List texts = []
    for (Object entry in (defaults instanceof List ? defaults : [defaults])) {
        texts.add(entry instanceof Map ? [name: entry.name, text: entry.text] : [name: entry.toString(), text: libraryResource(entry.toString())])
    }
    return texts
}

/** Runs the engine once in the workspace and returns its result; fails the build if there is none. */
Map runEngine(String name, String folder, List variables) {
    int code = 0
    withEnv(variables) {
        code = sh(label: 'towline ' + name, returnStatus: true, script: '''set +x
exec /bin/sh "$TOWLINE_CALL_FOLDER/engine.sh" "$TOWLINE_CALL_COMMAND" ${TOWLINE_CALL_STEP:+"$TOWLINE_CALL_STEP"} \\
    --request "$TOWLINE_CALL_FOLDER/request.json" --result "$TOWLINE_CALL_FOLDER/result.json" \\
    ${TOWLINE_CALL_STAGE:+--stage "$TOWLINE_CALL_STAGE"} ${TOWLINE_CALL_IF_ACTIVE:+--if-active}''') as int
    }
    if (!fileExists(folder + '/result.json')) {
        error('[' + name + '] the engine did not run to its end (exit code ' + code + ') and left no result; the lines above say why')
    }
    String text = readFile(file: folder + '/result.json', encoding: 'UTF-8')   // read first: no slurper may be alive across a step
    Map result = new JsonSlurperClassic().parseText(text)
    if (code != 0 && goesOn(result) && result.status != 'superseded') {
        error('[' + name + '] the engine ended with exit code ' + code + ' although it reported ' + result.status)
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
    for (Map link in result.links) {
        echo('[' + name + '] ' + link.name + ': ' + link.target)
    }
    for (Map report in result.reports) {
        archiveArtifacts(artifacts: report.target, allowEmptyArchive: true)
    }
    if (result.status == 'superseded') {
        echo(describe(name, result))
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
