package org.jenkinsci.plugins.workflow.steps

/** An abort, a timeout, a refusal or a lost agent, under Jenkins' own name: it has a result and causes, and no message. */
class FlowInterruptedException extends InterruptedException {
    private static final long serialVersionUID = 1L
    final String result
    final List<CauseOfInterruption> causes

    FlowInterruptedException(String result, String... causes) {
        this.result = result
        this.causes = causes.collect { String cause -> new CauseOfInterruption(cause) }
    }
}

class CauseOfInterruption implements Serializable {
    private static final long serialVersionUID = 1L
    final String shortDescription

    CauseOfInterruption(String shortDescription) { this.shortDescription = shortDescription }
}

/** A step that needs an agent was called outside of `node`. */
class MissingContextVariableException extends Exception {
    private static final long serialVersionUID = 1L

    MissingContextVariableException(String type) {
        super("Required context class $type is missing\nPerhaps you forgot to surround the step with a step that provides this, such as: node" as String)
    }
}
