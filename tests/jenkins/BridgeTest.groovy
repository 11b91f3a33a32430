import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException
import org.junit.After
import org.junit.Test

/** vars/towline.groovy with a prepared engine: its requests, its use of the results, and the files that it leaves. */
class BridgeTest extends LibraryTest {
    BridgeTest() { sandboxed = true }

    /** After every test, no secret is left in the record of the build: neither of a Jenkins credential nor of another library. */
    @After void searchRecords() {
        if (engine == null || allowed) { return }
        List<String> secrets = jenkins.credentials.values().collectMany { [it.text, it.password] }
        for (int call in (0..<engine.calls)) { secrets += texts(engine.secrets(call).values()) }
        assert recorded().find(secrets.findAll { it && it.length() > 2 }) == []
    }

    /** Set by a test that itself checks what is left. */
    private boolean allowed = false

    static List<String> texts(Object value) {
        value instanceof Map ? texts(value.values()) : value instanceof Collection ? value.collectMany { texts(it) } : [value.toString()]
    }


    @Test void 'the request says what the contract names'() {
        CpsHarness h = answering()
        jenkins.causes = [[shortDescription: 'Started by upstream'], [shortDescription: 'Started by user Ann', userId: 'ann']]
        jenkins.agent.putAll([BRANCH_NAME: 'main', TAG_NAME: 'v1', CHANGE_ID: '3', GIT_URL: 'https://bob:hunter22@git.invalid/a.git', GIT_COMMIT: 'c0ffee'])
        h.run("""stage('Build') {
            towlineEnvironment.set('container/imageNameTag', 'demo:1')
            towlineEnvironment.set('container/imageNames', ['demo'])
            imagePushToRegistry script: this, targetRegistryUrl: "https://\${'target'}.invalid", sourceImage: null,
                                defaults: [[name: 'acme', text: 'general: {}'], 'towline/VERSION']
        }""")
        String version = new File('resources/towline/VERSION').text
        assert engine.request() == [
            protocol: 1, version: version.trim(), step: 'imagePushToRegistry', stage: 'Build',
            parameters: [targetRegistryUrl: 'https://target.invalid'],
            pipelineEnvironment: ['container/imageNameTag': 'demo:1', 'container/imageNames': ['demo']],
            unproven: [],
            secrets: [:],
            bound: [],
            build: [number: '7', url: 'http://jenkins.invalid/job/demo/7/', job: 'demo', branch: 'main', tag: 'v1', changeRequest: '3', startedBy: 'ann',
                    sourceRepository: 'https://git.invalid/a.git', sourceCommit: 'c0ffee'],
            defaults: [[name: 'acme', text: 'general: {}'], [name: 'towline/VERSION', text: version]],
        ]
    }

    @Test void 'a build that nobody has started says what did'() {
        CpsHarness h = answering([:], [:])
        jenkins.causes = [[shortDescription: 'Push event to branch main', userId: 7]]
        h.run('imagePushToRegistry script: this')
        jenkins.causes = []
        h.run('imagePushToRegistry script: this')
        assert engine.request(0).build.startedBy == 'Push event to branch main'
        assert engine.request(1).build.startedBy == ''
    }

    @Test void 'the stage of the call stands over that of Jenkins'() {
        answering().run("stage('Build') { gitOpsUpdateDeployment script: this, stageName: 'Acceptance' }")
        assert engine.request().stage == 'Acceptance'
        assert engine.request().parameters == [:]
    }

    @Test void 'a single default document needs no list'() {
        CpsHarness h = answering([:], [:])
        h.run("""String place = 'VERSION'
            imagePushToRegistry script: this, defaults: "towline/\${place}"
            imagePushToRegistry script: this, defaults: [name: 'acme', text: 'general: {}']""")
        assert engine.request(0).defaults*.name == ['towline/VERSION']
        assert engine.request(1).defaults == [[name: 'acme', text: 'general: {}']]
    }

    @Test void 'outside of a stage the stage is empty'() {
        answering().run('gitOpsUpdateDeployment script: this')
        assert engine.request().stage == ''
    }

    @Test void 'the engine runs in the folder of the call, and no file is made'() {
        CpsHarness h = answering()
        h.run("dir('sub') { imagePushToRegistry script: this }")
        assert engine.arguments() == ['run', 'imagePushToRegistry', '--request', 'env:TOWLINE_REQUEST', '--result', '-']
        assert engine.workingFolder() == new File(jenkins.workspace, 'sub').path
        assert !h.trace.contains('writeFile')
    }

    @Test void 'every step is a place where the program survives a restart'() {
        CpsHarness h = answering()
        Map result = h.run("node { stage('Build') { imagePushToRegistry script: this, targetRegistryPassword: 'pa55word' } }") as Map
        assert result.status == 'success'
        assert h.roundTrips == h.trace.size() && h.roundTrips > 5
    }

    @Test void 'a call takes one shell step and one block, and reads the library once in a build'() {
        CpsHarness h = answering(BIND, [:], [:], [links: [[name: 'a', target: 'b'], [name: 'c', target: 'd']]])
        jenkins.credentials.putAll([registry: [username: 'bob', password: 'boundpa55'], tok: [text: 'boundt0ken']])
        h.run("""imagePushToRegistry script: this, targetRegistryPassword: 'pa55word'
            towline script: this, step: 'imagePushToRegistry', bindings: [[credentialsId: 'tok', kind: 'string', variables: [text: 'PIPER_githubToken']]]
            gitOpsUpdateDeployment script: this""")
        assert jenkins.record.perCall('towline') == [
            [libraryResource: 1, withEnv: 2, sh: 2, withCredentials: 1],
            [withEnv: 1, sh: 1, withCredentials: 1],
            [withEnv: 1, sh: 1, echo: 1]]
    }

    // The place of a call

    @Test void 'a call outside of a node says so, and what to do'() {
        CpsHarness h = answering()
        assert failure { h.runWithoutNode('imagePushToRegistry script: this') } ==
            '[imagePushToRegistry] this step runs on an agent: call it inside of node { }, or in a stage that has an agent'
        assert engine.calls == 0
    }

    @Test void 'an agent with Windows gets one clear line'() {
        CpsHarness h = answering()
        jenkins.windows = true
        assert failure(h, 'imagePushToRegistry script: this') ==
            "[imagePushToRegistry] agents with Windows are not supported: run it on an agent with Linux, such as node('linux') { }"
        assert engine.calls == 0 && jenkins.shells == []
    }

    @Test void 'a step of ours is there by its name also if another library has that name'() {
        CpsHarness h = answering()
        h.addVar('imagePushToRegistry', "void call(Map p) { throw new Exception('another library') }")
        Map result = h.run("towline.step('imagePushToRegistry', script: this, stageName: 'Build', tagLatest: true)") as Map
        assert result.status == 'success'
        assert engine.request().with { [step, stage, parameters] } == ['imagePushToRegistry', 'Build', [tagLatest: true]]
    }

    // Requests that are too large for a variable

    @Test void 'a request over 96 KiB is in one file beside the workspace, which is removed'() {
        CpsHarness h = answering()
        h.run("imagePushToRegistry script: this, note: 'ä' * 17000")
        assert engine.request().parameters.note == 'ä' * 17000
        List<String> arguments = engine.arguments()
        assert arguments[2] == '--request' && new File(arguments[3]).parentFile.parentFile == jenkins.temporary()
        assert jenkins.record.perCall('towline') == [[libraryResource: 1, writeFile: 1, withEnv: 1, sh: 1]]
        assert engine.environment().TOWLINE_REQUEST == null
        assertNothingIsLeft()
    }

    @Test void 'the largest request for a variable arrives in one'() {
        answering(EMPTY, [:]).run("imagePushToRegistry script: this, note: ''")
        int rest = 98304 - engine.requestText().length()
        answering(EMPTY, [:]).run("imagePushToRegistry script: this, note: 'x' * $rest; imagePushToRegistry script: this, note: 'x' * ${rest + 1}")
        assert engine.requestText(0).length() == 98304 && engine.arguments(0)[3] == 'env:TOWLINE_REQUEST'
        assert engine.requestText(1).length() == 98305 && engine.arguments(1)[3] != 'env:TOWLINE_REQUEST'
        assertNothingIsLeft()
    }

    static final Map EMPTY = [:]

    @Test void 'the answer is the result as the engine wrote it'() {
        Map result = answering([outputs: [images: [[digest: 'sha256:1']]]]).run('imagePushToRegistry script: this') as Map
        assert result.outputs == [images: [[digest: 'sha256:1']]]
    }

    @Test void 'what the engine changed is in the pipeline environment of the next step'() {
        CpsHarness h = answering([pipelineEnvironment: ['container/targetImageNameTag': 'demo:1', 'custom/n': 3, 'custom/l': ['a']]], [:])
        h.run("towlineEnvironment.set('artifactVersion', '1'); imagePushToRegistry script: this; gitOpsUpdateDeployment script: this")
        assert engine.request(1).pipelineEnvironment == [artifactVersion: '1', 'container/targetImageNameTag': 'demo:1', 'custom/n': 3, 'custom/l': ['a']]
    }

    @Test void 'without the script there is no pipeline environment, and the error says so'() {
        assert failure(answering(), 'imagePushToRegistry()') ==
            '[imagePushToRegistry] the pipeline environment belongs to the Jenkinsfile: call it with script: this'
        assert engine.calls == 0
    }

    @Test void 'a plan for one stage with blanks in its name arrives as one argument'() {
        answering().run("towline script: this, command: 'plan', stage: 'Additional Unit Tests'")
        assert engine.arguments()[0] == 'plan'
        assert engine.arguments()[-2..-1] == ['--stage', 'Additional Unit Tests']
    }

    @Test void 'a call of a stage obeys flags, a direct one does not'() {
        CpsHarness h = answering([:], [:])
        h.run("towline script: this, step: 'imagePushToRegistry', ifActive: true; imagePushToRegistry script: this")
        assert engine.arguments(0)[-1] == '--if-active'
        assert !engine.arguments(1).contains('--if-active')
    }

    // Secrets

    @Test void 'secret entries travel in one variable and stand nowhere else'() {
        CpsHarness h = answering()
        String awkward = 'p\'a"s$WORKSPACE${BUILD_NUMBER}$$a $(x) `y`\\n=%äz'
        jenkins.others.secretValue = { awkward }
        h.run("""towlineEnvironment.set('container/repositoryPassword', 'stagingpa55')
            towlineEnvironment.set('custom/passwordPolicy/note', 'no secret')
            imagePushToRegistry script: this, targetRegistryPassword: secretValue(), githubToken: 't0ken9', PRIVATEKEY: 'k3y3y', vaultSecretId: '', user: 'bob'""")
        Map request = engine.request()
        assert request.parameters == [vaultSecretId: '', user: 'bob']
        assert request.pipelineEnvironment == ['custom/passwordPolicy/note': 'no secret']
        assert engine.secrets() == ['parameters/targetRegistryPassword': awkward, 'parameters/githubToken': 't0ken9', 'parameters/PRIVATEKEY': 'k3y3y',
                                    'pipelineEnvironment/container/repositoryPassword': 'stagingpa55']
        assert engine.environment().keySet().findAll { it.startsWith('TOWLINE_SECRET') } == ['TOWLINE_SECRETS'] as Set
        assert recorded().find([awkward, 'stagingpa55', 't0ken9', 'k3y3y']) == []
    }

    @Test void 'a secret of any form and of 100 KiB arrives unchanged'() {
        List<String> awkward = ['a\nb\r\n\tc', '\u0000\u007f\u2028', '\ud83d\ude00ß', 'x' * 102400, '\n"' * 30000, ' ', '$HOME $$ ${x}', "'; rm -rf x #", '\\', '\ud800']
        awkward.eachWithIndex { String secret, int at ->
            CpsHarness h = answering()
            jenkins.others.secretValue = { -> secret }
            h.run("imagePushToRegistry script: this, token: secretValue(), password: 'short'")
            assert engine.secrets() == ['parameters/token': secret, 'parameters/password': 'short']
            assert recorded().find([secret].findAll { it.trim().length() > 1 }) == []
        }
    }

    @Test void 'secrets of any size are kept out of the record, at the end of a variable too'() {
        for (int length in (96200..98400).step(100)) {
            CpsHarness h = answering()
            jenkins.others.filler = { -> 'x' * length }
            h.run("imagePushToRegistry script: this, aPassword: filler(), token: 'hunter2hunter2'")
            assert engine.secrets() == ['parameters/aPassword': 'x' * length, 'parameters/token': 'hunter2hunter2']
            assert recorded().find(['hunter2hunter2']) == []
        }
    }

    @Test void 'only those secrets of the pipeline environment are sent that the plan says the step reads'() {
        CpsHarness h = answering([:], [:], [:])
        h.run("""towlineEnvironment.merge(['container/repositoryPassword': 'stagingpa55', 'custom/token': 't0ken9', artifactVersion: '1'])
            towline script: this, step: 'imagePushToRegistry', reads: ['container/repositoryPassword'], parameters: [githubToken: 'an0ther']
            towline script: this, step: 'gitOpsUpdateDeployment', reads: []
            towline script: this, step: 'gitOpsUpdateDeployment'""")
        assert engine.secrets(0) == ['parameters/githubToken': 'an0ther', 'pipelineEnvironment/container/repositoryPassword': 'stagingpa55']
        assert engine.secrets(1) == [:] && engine.environment(1).TOWLINE_SECRETS == null
        assert engine.secrets(2).size() == 2
        assert (0..2).every { engine.request(it).pipelineEnvironment == [artifactVersion: '1'] }
    }

    @Test void 'what stays of the secrets of another library are its own records'() {
        allowed = true
        CpsHarness h = answering([:])
        h.addVar('theirStep', """void call(Map p) {
            writeFile(file: '.pipeline/commonPipelineEnvironment/container/repositoryPassword', text: 'stagingpa55')
            withEnv(['PIPER_parametersJSON={"password": "t0ken9"}']) { echo('theirs: t0ken9') }
            p.script.towlineEnvironment.merge(['container/repositoryPassword': 'stagingpa55', 'custom/token': 't0ken9'])
        }""")
        h.run("theirStep script: this; imagePushToRegistry script: this")
        assert engine.secrets().values() as Set == ['stagingpa55', 't0ken9'] as Set
        assert recorded().find(['stagingpa55']) == ['record of writeFile: plain']
        assert recorded().find(['t0ken9']) == ['console: plain', 'record of echo: plain', 'record of withEnv: plain']
    }

    static final String HANDLE = 'towline-secret:' + '0f' * 16

    @Test void 'a secret of the engine has a handle in the pipeline environment, which is no secret'() {
        CpsHarness h = answering([pipelineEnvironment: ['container/repositoryPassword': HANDLE, 'custom/login': HANDLE + ':c2VhbGVk']], [:])
        assert h.run("""imagePushToRegistry script: this
            imagePushToRegistry script: this, sourceRegistryPassword: towlineEnvironment.get('container/repositoryPassword'), password: 'towline-secret:hunter2'
            return towlineEnvironment.get('container/repositoryPassword')""") == HANDLE
        assert engine.request(1).pipelineEnvironment == ['container/repositoryPassword': HANDLE, 'custom/login': HANDLE + ':c2VhbGVk']
        assert engine.request(1).parameters == [sourceRegistryPassword: HANDLE]
        assert engine.secrets(1) == ['parameters/password': 'towline-secret:hunter2']
    }

    @Test void 'a Docker configuration as text is a secret, too'() {
        answering().run("imagePushToRegistry script: this, dockerConfigJSON: '{\"auths\": {}}'")
        assert engine.request().parameters == [:]
        assert engine.secrets() == ['parameters/dockerConfigJSON': '{"auths": {}}']
    }

    @Test void 'values are those of JSON, and of another object there is its name'() {
        answering().run("""String key = 'a'
            imagePushToRegistry script: this, sourceImages: ["\${key}", null] as Set, targetImages: [(key): "\${key}b"], tagLatest: true, copyDeadline: 60,
                targetRegistries: ['https://x.invalid'] as String[], targetRegistryUrl: new URL('https://y.invalid'), dockerBuildImage: Locale.GERMAN""")
        assert engine.request().parameters == [sourceImages: ['a', null], targetImages: [a: 'ab'], tagLatest: true, copyDeadline: 60, targetRegistries: ['https://x.invalid'],
                                               targetRegistryUrl: 'https://y.invalid', dockerBuildImage: 'de']
    }

    @Test void 'a secret list is handed over as a list'() {
        answering().run("imagePushToRegistry script: this, tokens: ['a1', 'b2'], pin: 1, password: 7")
        assert engine.secrets() == ['parameters/tokens': ['a1', 'b2'], 'parameters/password': 7]
    }

    @Test void 'an entry that holds a secret at any depth is handed over whole'() {
        CpsHarness h = answering()
        jenkins.others.plugin = { -> Locale.GERMAN }
        h.run('''String inner = 'hunter2$HOME'
            towlineEnvironment.set('custom/config', [password: "a\${inner}" as String, user: 'bob'])
            towlineEnvironment.set('container/registryUrl', 'https://bob:open-sesame@staging.invalid/x')
            imagePushToRegistry script: this, targets: [[serverUrl: 'x', password: "b\${inner}"]], nested: [[a: [[[token: inner]] as Set, plugin()]]] as Object[],
                targetImages: [app: 'shop/app'], plain: [a: [plugin()]], requirePullSecret: true, tokens: [], nobody: [password: null]''')
        Map request = engine.request()
        assert request.parameters == [targetImages: [app: 'shop/app'], plain: [a: ['de']], requirePullSecret: true, tokens: [], nobody: [password: null]]
        assert request.pipelineEnvironment == [:]
        assert engine.secrets() == [
            'parameters/targets': [[serverUrl: 'x', password: 'bhunter2$HOME']],
            'parameters/nested': [[a: [[[token: 'hunter2$HOME']], 'de']]],
            'pipelineEnvironment/custom/config': [password: 'ahunter2$HOME', user: 'bob'],
            'pipelineEnvironment/container/registryUrl': 'https://bob:open-sesame@staging.invalid/x']
        assert !engine.requestText().contains('hunter2') && !engine.requestText().contains('open-sesame')
    }

    @Test void 'a URL with a secret in its query is handed over as one with a password is'() {
        CpsHarness h = answering()
        String open = 'https://files.invalid/token=a?ref=main&private_token=#x'
        String secret = 'https://files.invalid/defaults.yml?ref=main&private_token=hunter2'
        h.run("towlineEnvironment.set('custom/from', ['$secret']); imagePushToRegistry script: this, open: '$open', secret: '$secret', plain: 'a?token=b'")
        Map request = engine.request()
        assert request.parameters == [open: open, plain: 'a?token=b']
        assert request.secrets.keySet() == ['parameters/secret', 'pipelineEnvironment/custom/from'] as Set
        assert engine.secrets()['parameters/secret'] == secret
        assert !engine.requestText().contains('hunter2')
    }

    @Test void 'a name in a query that is escaped counts as secret, as the engine decodes it'() {
        CpsHarness h = answering()
        String secret = 'https://files.invalid/defaults.yml?%74oken=hunter2'
        h.run("imagePushToRegistry script: this, open: 'https://files.invalid/a?ref=%74oken', secret: '$secret'")
        assert engine.request().parameters == [open: 'https://files.invalid/a?ref=%74oken']
        assert engine.secrets() == ['parameters/secret': secret]
        assert !engine.requestText().contains('hunter2')
    }

    @Test void 'the names of the list are secret, whatever joins their words, and where a secret is said to be is not'() {
        List secret = ['apiKey', 'API-KEY', 'custom/api_key', 'passphrase', 'pwd', 'dbPwd', 'kubeConfig', 'sshKey', 'accessKey', 'authorization', 'cookie', 'auth', 'credentials']
        List open = ['gitHttpsCredentialsId', 'githubTokenCredentialsId', 'registryCredentialsVaultSecretName', 'tokenUrl', 'privateKeyFile', 'vaultTestCredentialPath', 'authorName', 'tokenTtl', 'secretIdDays']
        CpsHarness h = answering()
        jenkins.others.entries = { -> secret.collectEntries { [(it): 'hunter2'] } + open.collectEntries { [(it): 'open'] } }
        h.run("towline script: this, step: 'imagePushToRegistry', parameters: entries()")
        assert engine.request().secrets.keySet() == secret.collect { 'parameters/' + it } as Set
        assert engine.request().parameters.keySet() == open as Set
    }

    @Test void 'ids in a list, and maps whose keys people choose, are no secrets'() {
        answering().run("""imagePushToRegistry script: this, credentials: ['git-token', 'registry.example_1'], targetImages: ['token-service': 'shop/token'],
                a: [credentials: ['my-token': ['github.com']]], b: [credentials: ['bob:hunter2']], c: [credentials: [[name: 'hunter2']]], d: [credentials: 'hunter2'],
                e: [credentials: ['git-tok3n', 7]], tokens: ['git-tok3n'], containers: [app: [password: 'hunter2']], secret: [credentials: ['hunter2']]""")
        Map request = engine.request()
        assert request.parameters == [credentials: ['git-token', 'registry.example_1'], targetImages: ['token-service': 'shop/token'], a: [credentials: ['my-token': ['github.com']]]]
        assert request.secrets.keySet() == ['b', 'c', 'd', 'e', 'tokens', 'containers', 'secret'].collect { 'parameters/' + it } as Set
        assert !engine.requestText().contains('hunter2')
    }

    @Test void 'the shell text is the same whatever is called'() {
        CpsHarness h = answering([:], [:], [:])
        h.run("""imagePushToRegistry script: this, targetRegistryPassword: 'pa55word'
            gitOpsUpdateDeployment script: this, filePath: '\$(touch x); y'
            towline script: this, command: 'plan', stage: 'Build'""")
        assert jenkins.shells.size() == 3 && jenkins.shells.unique().size() == 1
        assert jenkins.shells[0] == new File('resources/towline/engine.sh').text
    }

    // Jenkins credentials

    static final Map BIND = [status: 'bind', bindings: [
        [credentialsId: 'registry', kind: 'usernamePassword', variables: [username: 'PIPER_targetRegistryUser', password: 'PIPER_targetRegistryPassword']],
        [credentialsId: 'tok', kind: 'string', variables: [text: 'PIPER_githubToken']]]]

    @Test void 'credentials that the engine asks for are bound for one more run'() {
        CpsHarness h = answering(BIND, [:])
        jenkins.credentials.putAll([registry: [username: 'bob', password: 'boundpa55'], tok: [text: 'boundt0ken']])
        Map result = h.run("imagePushToRegistry script: this, tagLatest: true, githubToken: 't0ken9'") as Map
        assert result.status == 'success'
        assert engine.calls == 2
        assert engine.request(0).bound == []
        assert engine.request(1) == engine.request(0) + [bound: BIND.bindings]
        assert engine.environment(0).findAll { it.key.startsWith('PIPER_') }.isEmpty()
        assert engine.environment(1).findAll { it.key.startsWith('PIPER_') } ==
            [PIPER_targetRegistryUser: 'bob', PIPER_targetRegistryPassword: 'boundpa55', PIPER_githubToken: 'boundt0ken']
        assert engine.secrets(1) == ['parameters/githubToken': 't0ken9']
        assert recorded().find(['boundpa55', 'boundt0ken', 't0ken9']) == []
        assertNothingIsLeft()
    }

    @Test void 'an SSH key is bound as the path of its file'() {
        CpsHarness h = answering([status: 'bind', bindings: [[credentialsId: 'deploy', kind: 'sshUserPrivateKey', variables: [file: 'PIPER_gitSshPrivateKey']]]], [:])
        jenkins.credentials.put('deploy', [file: '/agent/tmp/ssh-key-deploy'])
        h.run('gitOpsUpdateDeployment script: this')
        assert engine.environment(1).PIPER_gitSshPrivateKey == '/agent/tmp/ssh-key-deploy'
        assertNothingIsLeft()
    }

    @Test void 'a secret file is bound as its path'() {
        CpsHarness h = answering([status: 'bind', bindings: [[credentialsId: 'signer', kind: 'file', variables: [file: 'PIPER_signingPrivateKey']]]], [:])
        jenkins.credentials.put('signer', [file: '/agent/tmp/secretFiles/key.asc'])
        h.run('gitOpsUpdateDeployment script: this')
        assert engine.environment(0).PIPER_signingPrivateKey == null
        assert engine.environment(1).PIPER_signingPrivateKey == '/agent/tmp/secretFiles/key.asc'
        assertNothingIsLeft()
    }

    static final Map LOGIN = [status: 'bind', bindings: [
        [credentialsId: 'role', kind: 'string', variables: [text: 'PIPER_vaultAppRoleID']],
        [credentialsId: 'secret', kind: 'string', variables: [text: 'PIPER_vaultAppRoleSecretID']]]]

    @Test void 'what Vault does not hold is bound inside of the login for it'() {
        CpsHarness h = answering(LOGIN, BIND, [:])
        jenkins.credentials.putAll([role: [text: 'boundr0le'], secret: [text: 'bounds3cret'], registry: [username: 'bob', password: 'boundpa55'],
                                    tok: [text: 'boundt0ken']])
        assert (h.run('imagePushToRegistry script: this') as Map).status == 'success'
        assert (0..2).collect { engine.environment(it).keySet().findAll { String name -> name.startsWith('PIPER_') }.toSorted() } == [
            [], ['PIPER_vaultAppRoleID', 'PIPER_vaultAppRoleSecretID'],
            ['PIPER_githubToken', 'PIPER_targetRegistryPassword', 'PIPER_targetRegistryUser', 'PIPER_vaultAppRoleID', 'PIPER_vaultAppRoleSecretID']]
        assert (0..2).collect { engine.request(it).bound } == [[], LOGIN.bindings, LOGIN.bindings + BIND.bindings]
        assert recorded().find(['boundr0le', 'bounds3cret', 'boundpa55', 'boundt0ken']) == []
        assertNothingIsLeft()
    }

    @Test void 'asking for credentials a third time is a failure'() {
        CpsHarness h = answering(LOGIN, BIND, BIND)
        jenkins.credentials.putAll([role: [text: 'boundr0le'], secret: [text: 'bounds3cret'], registry: [username: 'bob', password: 'boundpa55'],
                                    tok: [text: 'boundt0ken']])
        assert failure(h, 'imagePushToRegistry script: this').contains('asks again for credentials')
        assert engine.calls == 3
        assertNothingIsLeft()
    }

    @Test void 'a credential that Jenkins does not have fails the build and leaves nothing behind'() {
        assert failure(answering(BIND), 'imagePushToRegistry script: this').contains("'registry'")
        assertNothingIsLeft()
    }

    @Test void 'a credential of an unknown kind is refused'() {
        assert failure(answering([status: 'bind', bindings: [[credentialsId: 'x', kind: 'certificate', variables: [:]]]]), 'imagePushToRegistry script: this')
            .contains('unknown kind certificate')
        assertNothingIsLeft()
    }

    // Endings

    @Test void 'a failure says category, place and next action, and keeps what the engine published'() {
        CpsHarness h = answering([status: 'failure', exit: 5, pipelineEnvironment: ['custom/k': 'v'], error:
            [category: 'infrastructure', message: 'cannot reach the registry', where: 'https://target.invalid', hint: 'try again']], [:])
        h.run("""String why = ''
            try { imagePushToRegistry script: this } catch (Exception e) { why = e.message }
            echo why
            gitOpsUpdateDeployment script: this""")
        assert jenkins.log.any {
            it == '[imagePushToRegistry] cannot reach the registry (category: infrastructure). where: https://target.invalid. next: try again' }
        assert engine.request(1).pipelineEnvironment == ['custom/k': 'v']
        assertNothingIsLeft()
    }

    @Test void 'a failure without place and hint is one plain sentence'() {
        assert failure(answering([status: 'failure', exit: 1, error: [category: 'undefined', message: 'a bug', where: '', hint: '']]),
            'imagePushToRegistry script: this') == '[imagePushToRegistry] a bug (category: undefined).'
    }

    @Test void 'a superseded deployment goes on with a note, and what is deployed is kept'() {
        Map result = answering([status: 'superseded', exit: 8, pipelineEnvironment: ['deployment/Release/commit': 'c0ffee'], error:
            [category: 'custom', message: 'a newer deployment is in place', where: '', hint: '']], [:])
            .run('Map r = gitOpsUpdateDeployment script: this; imagePushToRegistry script: this; return r') as Map
        assert result.status == 'superseded'
        assert engine.request(1).pipelineEnvironment == ['deployment/Release/commit': 'c0ffee']
        assert jenkins.build.result == null
        assert jenkins.log.contains('[gitOpsUpdateDeployment] a newer deployment is in place (category: custom).')
    }

    @Test void 'unchanged and skipped go on in silence'() {
        CpsHarness h = answering([status: 'unchanged'], [status: 'skipped'])
        h.run('imagePushToRegistry script: this; gitOpsUpdateDeployment script: this')
        assert engine.calls == 2
        assert !jenkins.log.any { it.contains('category') }
    }

    @Test void 'an aborted engine aborts the build'() {
        assert failure(answering([status: 'aborted', exit: 143, error: [category: 'custom', message: 'interrupted', where: '', hint: '']]),
            'gitOpsUpdateDeployment script: this').contains('interrupted')
        assert jenkins.build.result == 'ABORTED'
    }

    @Test void 'an aborted build ends as aborted, however the engine ends'() {
        for (String end in ['exit 143', 'printf \'{"status": "aborted", "exitCode": 143}\'; exit 143', 'printf \'{"status": "success", "exitCode": 0}\'; exit 0']) {
            CpsHarness h = answering([:])
            engine.program.text = "#!/bin/sh\ntrap '${end.replace("'", "'\\''")}' TERM\ntouch \"\$0.runs\"\nwhile :; do sleep 0.1; done\n"
            jenkins.abortWhen = { -> new File(engine.program.path + '.runs').exists() }
            try {
                h.run("try { imagePushToRegistry script: this } finally { echo 'told' }")
                assert false
            } catch (FlowInterruptedException stopped) {
                assert stopped.result == 'ABORTED'
            }
            assert jenkins.processes == []
            assertNothingIsLeft()
        }
    }

    @Test void 'an agent that is lost is no fault of ours, and the call can run again on another'() {
        CpsHarness h = answering([:])
        engine.program.text = "#!/bin/sh\nif [ -e \"\$0.runs\" ]; then echo '{\"status\": \"success\", \"exitCode\": 0}'; exit 0; fi\n" +
            'touch "$0.runs"\nwhile :; do sleep 0.1; done\n'
        jenkins.loseAgentWhen = { -> new File(engine.program.path + '.runs').exists() }
        String again = h.runWithoutNode("""String why = ''
            try { node { imagePushToRegistry script: this, token: 'hunter2hunter2' } } catch (Exception lost) { why = lost.class.simpleName }
            node { imagePushToRegistry script: this, token: 'hunter2hunter2' }
            return why""")
        assert again == 'FlowInterruptedException'
        assert jenkins.findSecrets(['hunter2hunter2']) == []
    }

    // An agent that lacks the engine

    /** The library as it is released: the launcher names the checksum of the engine that is beside it. */
    void release(byte[] engine, String checksum) {
        File folder = new File(tmp.root, 'released/towline')
        folder.mkdirs()
        new File(folder, 'engine.pyz').bytes = engine
        Map bridge = new JsonSlurper().parse(new File('resources/towline/bridge.json')) as Map
        String launcher = (bridge.launcher as String).replace("library_sha256=''", "library_sha256='$checksum'")
        new File(folder, 'bridge.json').text = JsonOutput.toJson(bridge + [launcher: launcher])
        jenkins.resources.add(0, folder.parentFile)
        jenkins.agent.putAll([TOWLINE_HOME: new File(tmp.root, 'cache').path, PATH: '/usr/bin:/bin'])
    }

    static final String PROGRAM = """import os
os.environ.pop('TOWLINE_REQUEST', None)
print('{"status": "success", "exitCode": 0, "summary": "delivered", "pipelineEnvironment": {}, "links": [], "reports": []}')
"""

    static byte[] zip(String program) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream()
        new java.util.zip.ZipOutputStream(bytes).withCloseable { zip ->
            zip.putNextEntry(new java.util.zip.ZipEntry('__main__.py'))
            zip.write(program.bytes)
            zip.closeEntry()
        }
        return bytes.toByteArray()
    }

    static String sha256(byte[] bytes) { java.security.MessageDigest.getInstance('SHA-256').digest(bytes).encodeHex() }

    @Test void 'an agent without an engine gets that of the library, once'() {
        byte[] engine = zip(PROGRAM)
        release(engine, sha256(engine))
        CpsHarness h = new CpsHarness(jenkins, true)
        Map result = h.run("imagePushToRegistry script: this, token: 'hunter2hunter2'; return imagePushToRegistry(script: this, note: 'x' * 100000)") as Map
        assert result.summary == 'delivered'
        assert jenkins.record.perCall('towline') == [[libraryResource: 2, writeFile: 1, withEnv: 2, sh: 2], [writeFile: 1, withEnv: 1, sh: 1]]
        assert jenkins.findSecrets(['hunter2hunter2']) == []
        assertNothingIsLeft()
    }

    @Test void 'a large request is not left behind by a delivery'() {
        byte[] engine = zip(PROGRAM)
        release(engine, sha256(engine))
        assert (new CpsHarness(jenkins, true).run("imagePushToRegistry script: this, note: 'x' * 100000") as Map).summary == 'delivered'
        assertNothingIsLeft()
    }

    @Test void 'an engine that arrives broken is not run'() {
        byte[] engine = zip(PROGRAM)
        release(zip('print("another one")'), sha256(engine))
        assert failure(new CpsHarness(jenkins, true), 'imagePushToRegistry script: this').contains('has another checksum than')
        assertNothingIsLeft()
    }

    // Endings of the engine

    @Test void 'an engine that leaves no result did not run'() {
        assert failure(answering([exit: 127]), 'imagePushToRegistry script: this').startsWith(
            '[imagePushToRegistry] the engine ended with exit code 127 and left no result (category: infrastructure). next: ')
        assertNothingIsLeft()
    }

    @Test void 'an engine that ends well without a result is not believed either'() {
        assert failure(answering([exit: 0]), 'imagePushToRegistry script: this').contains('left no result')
    }

    @Test void 'an engine that reports success and ends in an error is not believed'() {
        assert failure(answering([exit: 1, status: 'success']), 'imagePushToRegistry script: this').contains('exit code 1 although it reported success')
    }

    @Test void 'a result that cannot be read is not believed'() {
        for (String text in ['{"status": }', '{[}', '{"status": 7}', '{}']) {
            assert failure(answering([text: text]), 'imagePushToRegistry script: this').contains('left no result that can be read')
            assertNothingIsLeft()
        }
    }

    @Test void 'a launcher that is killed says so in our words'() {
        CpsHarness h = answering([:])
        engine.program.text = '#!/bin/sh\nkill -9 "$PPID" $$\n'
        String why = failure(h, 'imagePushToRegistry script: this')
        assert why.startsWith('[imagePushToRegistry] the engine was ended before it had a result (script returned exit code ') && why.contains('next: ')
    }

    @Test void 'a large request of a launcher that is killed lies beside the workspace without secrets'() {
        CpsHarness h = answering([:])
        engine.program.text = '#!/bin/sh\nkill -9 "$PPID" $$\n'
        failure(h, "imagePushToRegistry script: this, note: 'x' * 100000, token: 'hunter2hunter2'")
        List<File> left = []
        jenkins.temporary().eachFileRecurse(groovy.io.FileType.FILES) { left << it }
        assert left*.name == ['request.json'] && !left[0].text.contains('hunter2')
    }

    @Test void 'after a success nothing is left'() {
        answering().run('imagePushToRegistry script: this')
        assertNothingIsLeft()
    }

    @Test void 'links are shown and reports archived'() {
        answering([links: [[name: 'commit', target: 'https://git.invalid/c/1']], reports: [[name: 'a', target: 'a.json'], [name: 'b', target: 'b.json']]])
            .run('gitOpsUpdateDeployment script: this')
        assert jenkins.log.contains('[gitOpsUpdateDeployment] commit: https://git.invalid/c/1')
        assert jenkins.archived == [[artifacts: 'a.json', allowEmptyArchive: true], [artifacts: 'b.json', allowEmptyArchive: true]]
    }

    @Test void 'without reports nothing is archived'() {
        answering().run('imagePushToRegistry script: this')
        assert jenkins.archived == []
    }
}
