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
        facts = factsOf(checkout(pinned(script.scm, arguments.commit)))
    }
    return facts
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

/** The same repository at one commit; only git can do that. */
Map pinned(Object source, String commit) {
    try {
        return [$class: 'GitSCM', branches: [[name: commit]], extensions: source.extensions, userRemoteConfigs: source.userRemoteConfigs]
    } catch (MissingPropertyException ignored) {
        error('[towlineSource] the source has moved on since this build began with ' + commit + ', and only git can go back to it; run the build again')
    }
}

boolean hasSource(Object script) {
    try {
        return script.scm != null
    } catch (MissingPropertyException | IOException ignored) {   // a job with an inline script has no source (Jenkins: AbortException)
        return false
    }
}
