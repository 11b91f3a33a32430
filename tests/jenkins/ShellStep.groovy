import hudson.AbortException
import java.util.concurrent.TimeUnit
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException

/** The step `sh` as durable-task does it: a script file beside the workspace, and a process tree that is stopped if the build is. */
class ShellStep {
    private final StepBackend jenkins

    ShellStep(StepBackend jenkins) { this.jenkins = jenkins }

    Object run(Map arguments) {
        String script = arguments.script
        Agent agent = jenkins.scope.agent
        String cookie = 'durable-' + UUID.randomUUID()
        File control = new File(jenkins.temporaryHere(), cookie)
        boolean first = !jenkins.temporaryHere().exists()
        control.mkdirs()
        jenkins.cwd().mkdirs()
        File file = new File(control, 'script.sh'), out = new File(control, 'output.txt'), console = new File(control, 'jenkins-log.txt')
        file.setText(script, 'UTF-8')
        file.setExecutable(true)
        ProcessBuilder builder = new ProcessBuilder(script.startsWith('#!') ? [file.path] : ['sh', '-xe', file.path]).directory(jenkins.cwd())
        builder.environment().clear()
        builder.environment().putAll(jenkins.processEnvironment() + [JENKINS_SERVER_COOKIE: cookie, JENKINS_NODE_COOKIE: agent.cookie])
        builder.redirectOutput(ProcessBuilder.Redirect.appendTo(arguments.returnStdout ? out : console))
        builder.redirectError(ProcessBuilder.Redirect.appendTo(console))
        try {
            Process process = builder.start()
            process.outputStream.close()
            FlowInterruptedException stopped = waitFor(process, cookie, agent)
            if (agent.lost) { throw stopped }
            if (console.file) { jenkins.say(console.getText('UTF-8')) }
            return ended(arguments, process.alive ? -1 : process.exitValue(), out.file ? out.getText('UTF-8') : '', stopped)
        } finally {
            control.deleteDir()
            if (first) { jenkins.temporaryHere().delete() }
        }
    }

    /** The result of the step. A script that ends with 0 after it was told to stop ends the step well, as in Jenkins. */
    private Object ended(Map arguments, int code, String output, FlowInterruptedException stopped) {
        if (code == 0 || (arguments.returnStatus && stopped == null)) { return arguments.returnStatus ? code : arguments.returnStdout ? output : null }
        if (output) { jenkins.say(output) }
        if (stopped == null) { throw new AbortException("script returned exit code $code") }
        jenkins.say("script returned exit code $code\n")
        throw stopped
    }

    /** Waits for the script, and stops its processes if the build is aborted, its time is over or its agent is lost. */
    private FlowInterruptedException waitFor(Process process, String cookie, Agent agent) {
        FlowInterruptedException stopped = null
        long started = System.currentTimeMillis(), asked = 0
        while (!process.waitFor(20, TimeUnit.MILLISECONDS)) {
            long passed = System.currentTimeMillis() - started
            if (stopped == null) {
                stopped = jenkins.interruption(jenkins.now + passed, jenkins.scope)
                if (stopped != null) {
                    asked = passed
                    if (agent.lost) { kill('KILL', processes(agent.cookie)); process.waitFor(); break }
                    jenkins.say('Sending interrupt signal to process\n')
                    kill('TERM', processes(cookie))
                }
            } else if (passed - asked > 10000) {
                jenkins.say('After 10s process did not stop\n')
                break
            }
        }
        jenkins.now += System.currentTimeMillis() - started
        return stopped
    }

    /** The ids of the processes that have one of the cookies in their environment, as Jenkins' ProcessTree finds them. */
    static List<String> processes(String... cookies) {
        new File('/proc').list().findAll { String id -> id.isInteger() && hasAny(environmentOf(id), cookies) }
    }

    private static boolean hasAny(String environment, String... cookies) { cookies.any { String cookie -> environment.contains(cookie) } }

    private static String environmentOf(String id) {
        try {
            return new File("/proc/$id/environ").getText('ISO-8859-1')
        } catch (IOException ignored) {       // the process has ended, or is another user's
            return ''
        }
    }

    static void kill(String signal, List<String> processes) { processes.each { String id -> ['kill', "-$signal", id]*.toString().execute().waitFor() } }
}
