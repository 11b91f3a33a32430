/**
 * Checks out the project on an agent, and returns GIT_URL and GIT_COMMIT of it; an empty map if the job knows no source.
 *
 * arguments: script; commit: on a further agent of the same build, the commit that has to be there.
 */
Map call(Map arguments) {
    Object script = arguments.script
    if (script == null || !hasSource(script)) {
        return [:]
    }
    Map facts = factsOf(checkout(script.scm))
    if (arguments.commit && facts.GIT_COMMIT != arguments.commit) {   // the branch has moved since
        goBack(arguments.commit)
        facts.GIT_COMMIT = arguments.commit
    }
    return facts
}

/** Checks out the commit that the build began with; without the network, so only if it is in the clone and has no submodules. */
void goBack(String commit) {
    int code = 0
    withEnv(['TOWLINE_COMMIT=' + commit]) {
        code = sh(label: 'towline: check out the commit of this build', returnStatus: true, script: '''#!/bin/sh
git -c advice.detachedHead=false checkout --quiet --detach "$TOWLINE_COMMIT" && [ ! -e .gitmodules ]''')
    }
    if (code != 0) {
        error('[towlineSource] the source has moved on since this build began with ' + commit + ', and this agent cannot go back to it; run the build again')
    }
}

/** The facts as arguments of withEnv. */
List variables(Map facts) {
    List texts = []
    for (String name in facts.keySet()) {
        texts.add(name + '=' + facts[name])
    }
    return texts
}

Map factsOf(Object checkedOut) {
    Map facts = [:]
    for (String name in ['GIT_URL', 'GIT_COMMIT']) {
        if (checkedOut instanceof Map && checkedOut.get(name)) {
            facts[name] = checkedOut.get(name)
        }
    }
    return facts
}

boolean hasSource(Object script) {
    try {
        return script.scm != null
    } catch (MissingPropertyException | IOException ignored) {   // a job with an inline script has no source (Jenkins: AbortException)
        return false
    }
}
