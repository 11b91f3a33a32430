import groovy.json.JsonOutput

/** The request to the engine, and the environment variables in which it travels (docs/contract.md, Request). */

/** The request of a call (vars/towline.groovy); the values of secrets are added to `secrets` instead. */
Map of(Map arguments, Map library, Map secrets) {
    Map parameters = [:]
    parameters.putAll(arguments.parameters ?: [:])
    Map request = [
        protocol: 1,
        version: library.version,
        step: arguments.step ?: '',
        stage: parameters.stageName ?: env.STAGE_NAME ?: '',
        secrets: [:],
        bound: [],
        build: buildFacts(),
        defaults: documents(arguments.script, parameters.defaults ?: []),
    ]
    for (String ours in ['script', 'stageName', 'defaults']) { parameters.remove(ours) }
    Map keys = request.secrets
    request.parameters = towlineSecrets.withoutSecrets(parameters, 'parameters/', library.secretNames, keys, secrets)
    Map known = arguments.script.towlineEnvironment.all(arguments.script)
    request.unproven = arguments.script.towlineEnvironment.unproven(known)
    request.pipelineEnvironment = towlineSecrets.withoutSecrets(known, 'pipelineEnvironment/', library.secretNames, keys, secrets, arguments.reads)
    return request
}

/** The text of a resource of the library, which is read once in a build. */
String resource(Object script, String name) {
    Map texts = script.towlineEnvironment.resources
    if (!texts.containsKey(name)) {
        texts.put(name, libraryResource(name))
    }
    return texts.get(name)
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

/**
 * The platform team's default documents (one, or a list): maps of name and text, or names of library resources.
 *
 * The controller may name resources for all jobs, which come first: the variable TOWLINE_DEFAULTS_RESOURCES, with commas.
 */
List documents(Object script, Object defaults) {
    List texts = []
    for (Object entry in (env.TOWLINE_DEFAULTS_RESOURCES ?: '').tokenize(', ') + (defaults instanceof List ? defaults : [defaults])) {
        texts.add(entry instanceof Map ? [name: entry.name, text: entry.text] : [name: entry.toString(), text: resource(script, entry.toString())])
    }
    return texts
}

/** The variables (NAME=value) of a request and its secrets; a request that is too long is in a file, which the launcher removes. */
List variables(Map request, Map secrets) {
    String text = JsonOutput.toJson(request)   // in ASCII
    List variables = secretVariables(secrets)
    if (text.length() <= 98304) {
        variables.add('TOWLINE_REQUEST=' + text)
    } else {
        String file = (env.WORKSPACE_TMP ?: env.WORKSPACE + '@tmp') + '/towline-' + UUID.randomUUID() + '/request.json'
        writeFile(file: file, text: text, encoding: 'UTF-8')
        variables.add('TOWLINE_REQUEST_FILE=' + file)
    }
    return variables
}

/**
 * All secrets as one JSON text, in one or more variables.
 *
 * Jenkins keeps the arguments of steps in the build's record, except texts of more than 1024
 * characters: the blanks at the end make even the last variable longer, or leave it without a secret.
 */
List secretVariables(Map secrets) {
    List variables = []
    String blanks = ' '
    while (blanks.length() < 2048) { blanks = blanks + blanks }
    String left = secrets ? JsonOutput.toJson(secrets) + blanks : ''
    while (left) {
        String part = left.length() > 98304 ? left.substring(0, 98304) : left
        variables.add('TOWLINE_SECRETS' + (variables ? '_' + (variables.size() + 1) : '') + '=' + part)
        left = left.substring(part.length())
    }
    return variables
}
