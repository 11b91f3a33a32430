/**
 * Asks a person whether the later stages may run; holds no agent meanwhile.
 *
 * arguments: script; confirm: the plan's answers (asks, asksIfUnstable, message, timeoutHours, submitters). A refusal, or
 * no answer in time, aborts the build. Who confirmed, and why, is in the pipeline environment afterwards.
 */
void call(Map arguments) {
    Map confirm = arguments.confirm
    Map answer = [:]
    stage('Confirm') {
        timeout(time: confirm.timeoutHours as int, unit: 'HOURS') {
            answer = isUnstable() ? askWithReason(arguments.script, confirm) : ask(confirm)
        }
    }
    echo('[towlineConfirm] confirmed by ' + (answer.approver ?: 'somebody whom Jenkins does not name') + (answer.reason ? ': ' + answer.reason : ''))
    arguments.script.towlineEnvironment.merge(['custom/confirmedBy': answer.approver ?: '', 'custom/confirmedBecause': answer.reason ?: ''], arguments.script)
}

/** Whether the plan wants a confirmation now; an unstable build is always asked about. */
boolean isAsked(Map confirm) {
    return confirm != null && (confirm.asks || (confirm.asksIfUnstable && isUnstable()))
}

boolean isUnstable() {
    return currentBuild.currentResult == 'UNSTABLE'
}

Map ask(Map confirm) {
    Object approver = input(question(confirm, confirm.message))
    return [approver: approver]
}

/** Asks until the reason has ten characters and the box is ticked, as Piper does. */
Map askWithReason(Object script, Map confirm) {
    String failed = script.towlineEnvironment.get('unstableSteps') ?: ''
    Map given = question(confirm, 'The build is unstable' + (failed ? ' (' + failed + ')' : '') + '. Run the later stages all the same?')
    given.parameters = [text(name: 'reason', description: 'why, in at least 10 characters', defaultValue: ''),
                        booleanParam(name: 'acknowledgement', description: 'I have looked at what failed', defaultValue: false)]
    Map answer = [:]
    while (!answer.acknowledgement || answer.reason.trim().length() < 10) {
        answer = input(given)
    }
    return answer
}

Map question(Map confirm, String message) {
    Map given = [message: message, ok: 'Proceed', submitterParameter: 'approver']
    if (confirm.submitters) {
        given.submitter = confirm.submitters
    }
    return given
}
