import org.jenkinsci.plugins.scriptsecurity.sandbox.RejectedAccessException
import org.junit.Test

/** The sandbox of the harness allows and rejects what a real controller did (script-security on Jenkins 2.541.3). */
class SandboxTest extends LibraryTest {

    Object sandboxed(String jenkinsfile) { new CpsHarness(jenkins, true).run(jenkinsfile) }

    String rejected(String jenkinsfile) {
        try {
            sandboxed(jenkinsfile)
        } catch (RejectedAccessException e) {
            return e.message - 'Scripts not permitted to use '
        }
        throw new AssertionError("the sandbox allowed: $jenkinsfile" as Object)
    }

    @Test void 'what a controller rejected is rejected'() {
        assert rejected('return new LinkedHashMap([a: 1])') == 'new java.util.LinkedHashMap java.util.Map'
        assert rejected('return new groovy.json.JsonSlurperClassic()') == 'new groovy.json.JsonSlurperClassic'
        assert rejected('return groovy.json.JsonOutput.toJson([1, 2])') == 'staticMethod groovy.json.JsonOutput toJson java.lang.Object'
        assert rejected("Object o = [1]; return groovy.json.JsonOutput.toJson(o)") == 'staticMethod groovy.json.JsonOutput toJson java.lang.Object'
    }

    @Test void 'what a controller allowed is allowed'() {
        assert sandboxed('return new HashMap()') == [:]
        assert sandboxed('return new HashMap([a: 1])') == [a: 1]
        assert sandboxed('return new TreeMap()') == [:]
        assert sandboxed('return new ArrayList([1, 2])') == [1, 2]
        assert sandboxed("return [a: [1, 'x'], 'b-c': [:]]") == [a: [1, 'x'], 'b-c': [:]]
        assert sandboxed("def o = new groovy.json.JsonSlurper().parseText('{\"a\": [1]}'); return o.a[0]") == 1
        assert sandboxed("return groovy.json.JsonOutput.toJson([a: [1]])") == '{"a":[1]}'
        ["'x'": '"x"', 7: '7', true: 'true'].each { Object value, String json -> assert sandboxed("return groovy.json.JsonOutput.toJson($value)") == json }
        assert (sandboxed("return groovy.json.JsonOutput.toJson(UUID.randomUUID())") as String).length() == 38
        assert (sandboxed("return groovy.json.JsonOutput.toJson(new Date(0L))") as String).startsWith('"1970-')
        assert sandboxed("return 'AB'.toLowerCase(Locale.ROOT)") == 'ab'
        assert sandboxed("return Base64.getEncoder().encodeToString('a'.getBytes('UTF-8'))") == 'YQ=='
    }

    @Test void 'steps, vars, variables of the build and closures are used as outside of the sandbox'() {
        assert sandboxed("""int n = 0
            withEnv(['A=b']) { n += sh(returnStdout: true, script: 'printf "\$A"').length() }
            [1, 2].each { n += it }
            towlineEnvironment.set('k', "v\${n}")
            env.X = 'y'
            return [n, towlineEnvironment.get('k') as String, env.X, env.BUILD_NUMBER, BUILD_NUMBER, currentBuild.currentResult]""") ==
            [4, 'v4', 'y', '7', '7', 'SUCCESS']
    }

    @Test void 'a closure in a map is called like a method'() { assert sandboxed('Map m = [twice: { int n -> 2 * n }]; return m.twice(3)') == 6 }

    @Test void 'a class of the machine, the build object and reflection are out of reach'() {
        assert rejected("return new File('/etc/passwd').text") == 'new java.io.File java.lang.String'
        assert rejected('return currentBuild.rawBuild') == 'method RunWrapper getRawBuild'
        assert rejected("return 'id'.execute().text") == 'staticMethod org.codehaus.groovy.runtime.DefaultGroovyMethods execute java.lang.String'
        assert rejected('return [1].metaClass') == 'staticMethod org.codehaus.groovy.runtime.DefaultGroovyMethods getMetaClass java.lang.Object'
        assert rejected("return 'a b'.split(' ').drop(1)") == 'staticMethod org.codehaus.groovy.runtime.DefaultGroovyMethods drop java.lang.Object[] int'
    }

    @Test void 'a global variable is reached by any script, and one that there is not is missing'() {
        assert sandboxed('''towlineEnvironment.set('k', 2); Object s = this
            return [this.env.BUILD_NUMBER, s.env.BUILD_NUMBER, s.towlineEnvironment.get('k')]''') == ['7', '7', 2]
        assert sandboxed("Object s = this; try { return s.commonPipelineEnvironment } catch (MissingPropertyException ignored) { return 'none' }") == 'none'
    }

    @Test void 'a rejection that the program swallows fails the test all the same'() {
        try {
            sandboxed('try { new LinkedHashMap([a: 1]) } catch (Exception ignored) { echo \'well\' }')
        } catch (AssertionError e) {
            assert e.message.contains('java.util.LinkedHashMap')
            return
        }
        assert false
    }

    @Test void 'a trusted library is not in the sandbox, and one that is not trusted is'() {
        String source = 'Map call() { return new LinkedHashMap([a: 1]) }'
        CpsHarness h = new CpsHarness(jenkins, true)
        h.addVar('mine', source)
        assert h.run('return mine()') == [a: 1]
        h.addLibrary('theirs', [yours: source], false)
        try { h.run('return yours()'); assert false } catch (RejectedAccessException e) { assert e.message.contains('LinkedHashMap') }
    }

    @Test void 'every line of the list is a signature that exists'() {
        for (String line in new SandboxGate().allowed) {
            List<String> words = line.tokenize(' ')
            Class type = Class.forName(words[1])
            Closure<Boolean> takes = { Class[] types, int from -> types.collect { SandboxGate.nameOf(it) } == words.drop(from) }
            assert words[0] in ['method', 'staticMethod'] ? type.declaredMethods.any { it.name == words[2] && takes(it.parameterTypes, 3) } :
                words[0] == 'new' ? type.declaredConstructors.any { takes(it.parameterTypes, 2) } : type.declaredFields.any { it.name == words[2] } : line
        }
    }
}
