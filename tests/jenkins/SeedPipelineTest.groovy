import org.junit.After
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

/** The sample project's one-line Jenkinsfile, through the library, with the real engine against real servers. */
class SeedPipelineTest {
    static final List<String> STAGES = ['Acceptance', 'Performance', 'Release']
    @Rule public TemporaryFolder tmp = new TemporaryFolder()
    Servers servers
    String engine

    @Before void startServers() {
        engine = Servers.program('towline').path
        servers = new Servers(tmp.newFolder('servers'))
    }

    @After void stopServers() { servers?.close() }

    private final List<StepBackend> builds = []

    /** After every test, no record that Jenkins keeps of its builds has a secret, in any form. */
    @After void searchRecords() {
        assert !builds.empty
        for (StepBackend jenkins in builds) {
            List<String> secrets = ['staging', 'target', 'git', 'releases'].collect { servers.facts[it].password as String }
            secrets += jenkins.credentials.values().collectMany { [it.text, it.password].findAll() } + [jenkins.agent.PIPER_targetRegistryPassword].findAll()
            assert jenkins.findSecrets(secrets) == []
        }
    }

    /** A build of the project on a fresh agent: the target's login in the agent's variables, git's in Jenkins' credentials. */
    StepBackend build(int number) {
        File folder = tmp.newFolder("build-$number")
        File defaults = new File(folder, 'defaults.yml')
        defaults.text = 'general:\n  gitHttpsCredentialsId: git-login\n'
        StepBackend jenkins = new StepBackend(folder)
        jenkins.answers << [proceed: true, by: 'ann']
        jenkins.agent.putAll([TOWLINE_ENGINE: engine, TOWLINE_DEFAULTS: defaults.path, PIPER_targetRegistryUser: servers.facts.target.username,
                              PIPER_targetRegistryPassword: servers.facts.target.password])
        jenkins.build.putAll([BUILD_NUMBER: "$number" as String, BUILD_URL: "http://jenkins.invalid/job/demo/$number/" as String])
        ['git-login': 'git', 'target-login': 'target', 'release-login': 'releases'].each { String id, String name ->
            jenkins.credentials[id] = [username: servers.facts[name].username, password: servers.facts[name].password] as Map<String, String>
        }
        jenkins.source = new File(servers.facts.project as String)
        jenkins.checkedOut = [GIT_URL: 'https://git.invalid/demo.git', GIT_COMMIT: 'c0ffee' * 6 + 'c0de']
        builds << jenkins
        return jenkins
    }

    /** The library beside another library with the build step: a stand-in that only sets the values that a build leaves. */
    CpsHarness library(StepBackend jenkins) {
        Map image = servers.facts.image as Map
        String named = "${image.name}:${image.tag}"
        jenkins.others.builtImage = { -> [
            'container/registryUrl': servers.facts.staging.url, 'container/imageNames': [image.name], 'container/imageNameTags': [named],
            'container/imageNameTag': named, 'container/imageDigests': [image.digest], artifactVersion: image.tag,
            'container/repositoryUsername': servers.facts.staging.username, 'container/repositoryPassword': servers.facts.staging.password] }
        CpsHarness harness = new CpsHarness(jenkins)
        harness.addVar('kanikoExecute', 'void call(Map parameters) { parameters.script.towlineEnvironment.merge(builtImage()) }')
        return harness
    }

    static String jenkinsfile(StepBackend jenkins) { new File(jenkins.source, 'Jenkinsfile').text }

    void assertNoSecretAndNothingLeft(StepBackend jenkins) {
        List<String> secrets = ['staging', 'target', 'git', 'releases'].collect { servers.facts[it].password }
        secrets.each { String secret -> assert !jenkins.raw.any { it.contains(secret) } }     // before Jenkins masks what it knows
        assert !jenkins.temporary().exists() || jenkins.temporary().list().length == 0
        List<String> before = [], after = []
        jenkins.source.eachFileRecurse { before << (it.path - jenkins.source.path) }
        jenkins.workspace.eachFileRecurse { after << (it.path - jenkins.workspace.path) }
        assert after.sort() == before.sort()
    }

    @Test void 'one line brings the image to the target and into three manifests, and once more changes nothing'() {
        StepBackend first = build(1)
        CpsHarness harness = library(first)
        harness.runWithoutNode(jenkinsfile(first))
        Map state = servers.state
        assertDeployed(state)
        assert harness.roundTrips == harness.trace.size()
        assert first.entered.findAll { it[0] == 'stage' }*.getAt(1) == ['Init', 'Build', 'Acceptance', 'Performance', 'Confirm', 'Release']
        assert first.entered.count { it[0] == 'withCredentials' } == STAGES.size()
        assertNoSecretAndNothingLeft(first)

        servers.ask('stop-staging')
        StepBackend second = build(2)
        library(second).runWithoutNode(jenkinsfile(second))
        Map later = servers.state
        assert later.targetWrites == state.targetWrites
        assert later.commits == state.commits
        assertNoSecretAndNothingLeft(second)
    }

    /** The released library, as `make dist` makes it. */
    File released() {
        File folder = tmp.newFolder('dist')
        Process made = new ProcessBuilder(Servers.program('python').path, '-m', 'tools.dist', '--output', folder.path).redirectErrorStream(true).start()
        String said = made.text
        assert made.waitFor() == 0 : said
        return new File(folder, 'library')
    }

    @Test void 'a released library brings its engine to each fresh agent, which has Python, git and a shell'() {
        File programs = tmp.newFolder('programs')
        File python = new File(programs, 'python3')
        python.text = "#!/bin/sh\nexec '${Servers.program('python').path}' \"\$@\"\n"     // with the extra for Helm, no towline beside it
        python.executable = true
        StepBackend jenkins = build(1)
        jenkins.agent.remove('TOWLINE_ENGINE')
        jenkins.agent.PATH = programs.path + ':/usr/bin:/bin'
        jenkins.freshAgents = true
        jenkins.resources.clear()
        jenkins.resources << new File(released(), 'resources')
        CpsHarness harness = library(jenkins)
        harness.runWithoutNode(jenkinsfile(jenkins))
        assertDeployed(servers.state)
        List delivered = jenkins.record.steps.findAll { it.name == 'writeFile' }
        assert delivered.size() == 2 && delivered.every { it.arguments.encoding == 'Base64' }        // an agent before Confirm, one after it
        assert jenkins.agents*.workspace.toSet().size() == 2
    }

    @Test void 'what Vault holds comes from there by credentials of Jenkins, and what it does not hold from others'() {
        Map vault = servers.ask('vault')
        StepBackend jenkins = build(1)
        jenkins.agent.keySet().removeAll(['PIPER_targetRegistryUser', 'PIPER_targetRegistryPassword'])
        jenkins.credentials.putAll(['vault-role': [text: vault.role], 'vault-secret': [text: vault.secret]] as Map<String, Map<String, String>>)
        new File(jenkins.agent.TOWLINE_DEFAULTS).text += "  vaultServerUrl: ${vault.url}\n  vaultPath: secret/team\n" +
            '  vaultAppRoleTokenCredentialsId: vault-role\n  vaultAppRoleSecretTokenCredentialsId: vault-secret\n'
        library(jenkins).runWithoutNode(jenkinsfile(jenkins))
        assertDeployed(servers.state)
        List<List<String>> bound = jenkins.entered.findAll { it[0] == 'withCredentials' }.collect { List one -> (one[1] as List<Map>)*.credentialsId }
        assert bound == [['vault-role', 'vault-secret']] + STAGES.collectMany { [['vault-role', 'vault-secret'], ['git-login']] }
        [vault.role, vault.secret].each { Object secret -> assert !(jenkins.raw + jenkins.shells).any { it.contains(secret as String) } }
        assertNoSecretAndNothingLeft(jenkins)
    }

    /** The project with a Promote stage, which Piper's condition or a flag makes active. */
    void promoteBy(String section) {
        File configuration = new File(servers.facts.project as String, '.pipeline/config.yml')
        configuration.text = configuration.text.replaceFirst('stages:\n', "stages:\n    Promote:\n$section\n")
    }

    void assertDeployed(Map state, Map<String, Object> hosts = STAGES.collectEntries { [(it): servers.facts.target.host] }) {
        Map image = servers.facts.image as Map
        assert state.targetDigest == image.digest && state.stagingDigest == image.digest
        assert state.targetPlatforms as Set == image.platforms as Set
        assert state.targetMisses == []
        assert state.commits.size() == 1 + STAGES.size()
        STAGES.eachWithIndex { String stage, int at ->
            String file = "manifest-${stage.toLowerCase()}-stage.yaml"
            assert (state.files[file] as String).contains("${hosts[stage]}/${image.name}:${image.tag}")
            assert !(state.files[file] as String).contains(servers.facts.staging.url - 'http://')
            Map commit = state.commits[STAGES.size() - 1 - at] as Map
            assert commit.files == [file]
            assert (commit.body as String).contains("Towline-Stage: $stage")
            assert (commit.body as String).contains('Towline-Build: http://jenkins.invalid/job/demo/1/')
            assert (commit.body as String).contains('Towline-Source: https://git.invalid/demo.git')
        }
    }

    @Test void 'Promote pushes the copy of the registry of releases, and Release deploys from there'() {
        promoteBy("        dockerRegistryUrl: ${servers.facts.releases.url}\n        dockerCredentialsId: release-login\n        sourceCredentialsId: target-login")
        StepBackend first = build(1)
        CpsHarness harness = library(first)
        harness.runWithoutNode(jenkinsfile(first))
        Map state = servers.state
        assertPromoted(state)
        assert first.entered.findAll { it[0] == 'stage' }*.getAt(1) == ['Init', 'Build', 'Acceptance', 'Performance', 'Confirm', 'Promote', 'Release']
        assert first.raw.join('').count('imagePushToRegistry is its new name') == 1
        assertNoSecretAndNothingLeft(first)

        servers.ask('stop-staging')
        StepBackend second = build(2)
        library(second).runWithoutNode(jenkinsfile(second))
        Map later = servers.state
        assert [later.targetWrites, later.releasesWrites, later.commits] == [state.targetWrites, state.releasesWrites, state.commits]
        assertNoSecretAndNothingLeft(second)
    }

    void assertPromoted(Map state) {
        Map image = servers.facts.image as Map
        Object tested = servers.facts.target.host
        assertDeployed(state, [Acceptance: tested, Performance: tested, Release: servers.facts.releases.host])
        assert state.releasesDigest == image.digest && state.releasesMisses == []
        assert state.releasesRefusals == 0       // the login of the registry that was tested from is not tried there
        state.commits.take(STAGES.size()).each { Map commit -> assert (commit.body as String).contains("@${image.digest}") }
    }

    @Test void 'the flag makes Promote active, and switches it off against the condition'() {
        File configuration = new File(servers.facts.project as String, '.pipeline/config.yml')
        configuration.text += "    containerPushToRegistry:\n        dockerRegistryUrl: ${servers.facts.releases.url}\n" +
            '        dockerCredentialsId: release-login\n        sourceCredentialsId: target-login\n'
        String usual = configuration.text
        promoteBy('        containerPushToRegistry: false')
        StepBackend first = build(1)
        library(first).runWithoutNode(jenkinsfile(first))
        assertDeployed(servers.state)
        assert servers.state.releasesWrites == 0

        configuration.text = usual
        promoteBy('        containerPushToRegistry: true')
        StepBackend second = build(2)
        library(second).runWithoutNode(jenkinsfile(second))
        assert servers.state.releasesDigest == servers.facts.image.digest
        assert (servers.state.files['manifest-release-stage.yaml'] as String).contains(servers.facts.releases.host as String)
        assert (servers.state.files['manifest-acceptance-stage.yaml'] as String).contains(servers.facts.target.host as String)
    }

    @Test void 'a wrong password for the target fails the build with its category, and nothing is deployed'() {
        StepBackend jenkins = build(1)
        jenkins.agent.PIPER_targetRegistryPassword = 'wrong-password'
        String message = LibraryTest.failure(library(jenkins), jenkinsfile(jenkins))
        assert message.startsWith('[imagePushToRegistry] ') && message.contains('(category: config)') && message.contains(servers.facts.target.host as String)
        assert !message.contains('wrong-password')
        Map state = servers.state
        assert state.targetDigest == '' && state.commits.size() == 1
        assertNoSecretAndNothingLeft(jenkins)
    }

    @Test void 'the steps called one by one in a Jenkinsfile of its own do the same'() {
        StepBackend jenkins = build(1)
        library(jenkins).runWithoutNode('''@Library('towline') _
node {
    checkout scm
    withEnv(['GIT_URL=https://git.invalid/demo.git']) {
        stage('Build') {
            kanikoExecute script: this
            imagePushToRegistry script: this
        }
        for (name in ['Acceptance', 'Performance', 'Release']) {
            stage(name) { gitOpsUpdateDeployment script: this }
        }
    }
}''')
        assertDeployed(servers.state)
        assertNoSecretAndNothingLeft(jenkins)
    }
}
