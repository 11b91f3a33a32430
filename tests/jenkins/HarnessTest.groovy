import hudson.AbortException
import java.nio.file.Files
import org.jenkinsci.plugins.workflow.steps.MissingContextVariableException
import org.junit.Test

/** The harness must be able to fail: each fault here would fail on workflow-cps, too. */
class HarnessTest extends LibraryTest {

    @Test void 'a local that cannot be serialized is caught when it is held over a step'() {
        try {
            answering().run("def m = ('a=1' =~ /a=(.)/); echo 'x'; return m[0][1]")
            assert false
        } catch (NotSerializableException e) {
            assert e.message.contains('java.util.regex.Matcher')
        }
    }

    @Test void 'a step called inside NonCPS code is caught'() {
        CpsHarness h = answering()
        mismatched(h, "@NonCPS def f() { [1, 2].each { echo('x' + it) }; return 'done' }\nreturn f()")
    }

    @Test void 'CPS code called from a comparator is caught'() {
        CpsHarness h = new CpsHarness(jenkins, false)
        mismatched(h, 'def l = [3, 1, 2]; Collections.sort(l, { a, b -> a <=> b } as Comparator); return l')
    }

    static void mismatched(CpsHarness harness, String jenkinsfile) {
        try {
            harness.run(jenkinsfile)
        } catch (AssertionError ignored) {
            assert harness.mismatches
            return
        }
        assert false
    }

    @Test void 'for-in loops and closures of each may hold steps'() {
        assert answering().run("""int n = 0
            for (x in [1, 2]) { echo 'l' + x; n++ }
            for (x in [1, 2].toSet()) { echo 's' + x; n++ }
            for (e in [a: 1, b: 2]) { echo e.key + e.value; n++ }
            for (e in [a: 1, b: 2].entrySet()) { echo e.key; n++ }
            [1, 2].each { echo 'e' + it; n++ }
            [a: 1].each { k, v -> echo k + v; n++ }
            def c = [1, 2].collect { echo 'c' + it; n++; it * 2 }
            return n + c.sum()""") == 13 + 6
    }

    @Test void 'a var belongs to the script that names it'() {
        CpsHarness h = answering()
        h.addVar('other', "Object call() { return towlineEnvironment.get('k') }")
        assert h.run("towlineEnvironment.set('k', 'v'); echo 'x'; return [towlineEnvironment.get('k'), other()]") == ['v', null]
    }

    // Behaviour of a real controller that the harness once hid

    @Test void 'withEnv takes values as they are'() {
        assert answering().run("""withEnv(['A=p\$\$w', 'B=x\$HOME', 'C=\${BUILD_NUMBER}', 'D=', 'E=a=b']) {
            return [env.A, env.B, env.C, env.D, sh(returnStdout: true, script: 'printf %s "\$A \$B \$C \${D-unset} \$E"')] }""") ==
            ['p$$w', 'x$HOME', '${BUILD_NUMBER}', null, 'p$$w x$HOME ${BUILD_NUMBER} unset a=b']
    }

    @Test void 'arguments of steps are kept, but for those that are too large and values that are bound around the step'() {
        CpsHarness h = answering()
        jenkins.credentials.login = [username: 'bob', password: 'boundpa55']
        String large = 'L' * 1025
        h.run("""withEnv(['A=othersecret', 'B=$large']) {
            withCredentials([usernamePassword(credentialsId: 'login', usernameVariable: 'USER', passwordVariable: 'PASS')]) {
                writeFile file: 'a', text: 'x boundpa55 y'
                writeFile file: 'b', text: '$large'
                withEnv(['C=boundpa55', 'D=othersecret']) { echo 'c' }
            }
            echo 'boundpa55'
            withEnv(['E=' + 'e' * 600, 'F=' + 'f' * 600]) { echo 'd' }
        }""")
        assert jenkins.record.steps*.arguments == [[overrides: ['A=othersecret', 'OVERSIZE_VALUE']],
            [bindings: [[kind: 'usernamePassword', credentialsId: 'login', usernameVariable: 'USER', passwordVariable: 'PASS']]],
            [file: 'a', text: 'x ${PASS} y'], [file: 'b', text: 'OVERSIZE_VALUE'], [overrides: ['C=${PASS}', 'D=othersecret']], [message: 'c'],
            [message: 'boundpa55'], [overrides: 'OVERSIZE_VALUE'], [message: 'd']]
        assert jenkins.findSecrets(['othersecret']) == ['record of withEnv: plain']
        assert jenkins.findSecrets(['boundpa55']) == ['console: plain', 'record of echo: plain']
        assert jenkins.findSecrets(['nowhere', '', null]) == []
    }

    @Test void 'the message of a failed step is kept, and what a step returned is not'() {
        CpsHarness h = answering()
        assert failure(h, "echo sh(returnStdout: true, script: 'printf answer').length() + ''; error 'wrong: hunter22'") == 'wrong: hunter22'
        assert jenkins.record.steps*.error == [null, null, 'wrong: hunter22']
        assert jenkins.findSecrets(['hunter22']) == ['record of error: plain']
        assert !jenkins.record.steps.any { it.toString().contains('answer') && it.name != 'sh' }
    }

    @Test void 'a secret is found in every form'() {
        String secret = 'p\'a"s$ \n\\ü=/+%'
        byte[] bytes = secret.getBytes('UTF-8')
        Map<String, String> forms = [url: URLEncoder.encode(secret, 'UTF-8'), json: groovy.json.JsonOutput.toJson(secret), hex: bytes.encodeHex().toString(),
            base64: bytes.encodeBase64().toString(), 'base64 at 1': ('x' + secret).getBytes('UTF-8').encodeBase64().toString(),
            'base64 at 2': ('xy' + secret).getBytes('UTF-8').encodeBase64().toString(), plain: secret, shell: "'" + secret.replace("'", "'\\''") + "'"]
        forms.each { String form, String text ->
            jenkins.log.clear()
            jenkins.log << 'before ' + text + ' after'
            assert jenkins.findSecrets([secret]).size() >= 1 : form
        }
        jenkins.log.clear()
        jenkins.log << 'before after'
        assert jenkins.findSecrets([secret]) == []
    }

    @Test void 'archived files, stashes and the description are searched, too'() {
        CpsHarness h = answering()
        h.run("""writeFile file: 'out/a.txt', text: 'hunter22'.toUpperCase().toLowerCase()
            archiveArtifacts artifacts: 'out/*.txt'
            stash name: 's', includes: 'out/**'
            dir('other') { unstash 's'; echo readFile('out/a.txt').length() + '' }
            currentBuild.description = 'by hunter22'""")
        List<String> files = jenkins.findSecrets(['hunter22']).findAll { !it.startsWith('record') }
        assert files == ['archived a.txt: plain', 'description: plain', 'stash s: a.txt: plain']
        assert new File(jenkins.workspace, 'other/out/a.txt').text == 'hunter22'
    }

    @Test void 'the console is masked inside of the scope that bound a secret, and nowhere else'() {
        CpsHarness h = answering()
        jenkins.credentials.login = [username: 'bob', password: 'boundpa55']
        h.run("""String kept = ''
            withCredentials([usernamePassword(credentialsId: 'login', usernameVariable: 'USER', passwordVariable: 'PASS')]) {
                sh '#!/bin/sh\\necho one \$PASS \$USER'
                kept = PASS
            }
            echo 'two ' + kept
            sh '#!/bin/sh\\necho three boundpa55'""")
        assert jenkins.log == ['one **** bob\n', 'two boundpa55', 'three boundpa55\n']
    }

    @Test void 'a step that needs an agent fails outside of node as in Jenkins, and there is no workspace'() {
        Map<String, String> steps = ["sh 'true'": 'Launcher', "writeFile file: 'a', text: ''": 'FilePath', "dir('a') { }": 'FilePath', 'pwd()': 'FilePath']
        steps.each { String step, String type ->
            try {
                answering().runWithoutNode(step)
                assert false
            } catch (MissingContextVariableException e) {
                assert e.message == "Required context class hudson.$type is missing\n" +
                    'Perhaps you forgot to surround the step with a step that provides this, such as: node'
            }
        }
        assert answering().runWithoutNode("""List outside = [env.WORKSPACE, env.WORKSPACE_TMP]
            echo 'x'; withEnv(['A=b']) { stage('s') { libraryResource 'towline/VERSION' } }
            node { return outside + [env.WORKSPACE, env.WORKSPACE_TMP] }""") == [null, null, jenkins.workspace.path, jenkins.workspace.path + '@tmp']
    }

    @Test void 'a library with a symbolic link is rejected, and ours has none'() {
        CpsHarness h = answering()
        File checkout = tmp.newFolder('library')
        new File(checkout, 'vars').mkdirs()
        new File(checkout, 'vars/theirs.groovy').text = "String call() { return libraryResource('t.txt') }"
        new File(checkout, 'resources').mkdirs()
        new File(checkout, 'resources/t.txt').text = 'resource'
        h.addCheckout('theirs', checkout)
        assert h.run('return theirs()') == 'resource'
        Files.createSymbolicLink(new File(checkout, 'link').toPath(), new File('/etc/passwd').toPath())
        try { h.addCheckout('again', checkout); assert false } catch (AbortException e) { assert e.message == 'Rejecting library: symlink found' }
        assert !'git ls-files --stage'.execute().text.readLines().any { it.startsWith('120000') }
    }

    @Test void 'steps are counted per call of a var'() {
        CpsHarness h = answering()
        h.addVar('two', "void call() { sh 'true'; withEnv(['A=b']) { sh 'true' } }")
        h.run("two(); two(); echo 'x'")
        assert jenkins.record.perCall('two') == [[sh: 2, withEnv: 1], [sh: 2, withEnv: 1, echo: 1]]
        assert jenkins.record.counts == [sh: 4, withEnv: 2, echo: 1]
        assert jenkins.record.names == ['sh', 'withEnv', 'sh'] * 2 + ['echo']
    }

    @Test void 'a script with an interpreter of its own is not traced, and standard output is captured without being shown'() {
        CpsHarness h = answering()
        assert h.run("""return sh(returnStdout: true, script: '#!/bin/sh\\nprintf out; echo err >&2; false; :') +
            sh(returnStdout: true, script: 'printf more')""") == 'outmore'
        assert jenkins.log == ['err\n', '+ printf more\n']
        assert failure(h, "sh(returnStdout: true, script: '#!/bin/sh\\necho result; exit 3')") == 'script returned exit code 3'
        assert jenkins.log[-1] == 'result\n'          // Jenkins shows what it captured if the script fails
        assert h.run("return sh(returnStatus: true, script: 'exit 4')") == 4
    }

    @Test void 'the library that stands first in the configuration owns a var, trusted before untrusted'() {
        answering([:], [:])
        CpsHarness h = new CpsHarness(jenkins, false)
        h.addLibrary('first', [gitOpsUpdateDeployment: "Object call(Map p) { return 'first' }", shared: "Object call() { return 'untrusted' }"], false, true)
        h.addLibrary('last', [imagePushToRegistry: "Object call(Map p) { return 'last' }", shared: "Object call() { return 'trusted' }"])
        Object answer = h.run("return [gitOpsUpdateDeployment(script: this), imagePushToRegistry(script: this), shared()]")
        assert answer[0].status == 'success' && answer[1].status == 'success' && answer[2] == 'trusted'
        h.addLibrary('before', [gitOpsUpdateDeployment: "Object call(Map p) { return 'before' }"], true, true)
        assert h.run('return gitOpsUpdateDeployment(script: this)') == 'before'
    }
}
