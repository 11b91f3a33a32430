import groovy.json.JsonOutput
import org.junit.Test

/**
 * Every step of Piper's General Purpose Pipeline, in every stage: the engine makes the plan, stand-ins of another library run.
 *
 * Ours run by a program that plans with the real engine and does nothing else.
 */
class FullPipelineTest extends LibraryTest {
    static final Map<String, List<String>> PIPERS = [
        Init: ['slackSendNotification', 'artifactPrepareVersion', 'transportRequestReqIDFromGit', 'pipelineStashFilesBeforeBuild'],
        Build: ['buildExecute', 'pipelineStashFilesAfterBuild', 'testsPublishResults', 'checksPublishResults', 'sonarExecuteScan', 'mavenExecuteStaticCodeChecks',
                'npmExecuteLint'],
        'Additional Unit Tests': ['batsExecuteTests', 'karmaExecuteTests', 'npmExecuteScripts', 'testsPublishResults'],
        Integration: ['npmExecuteScripts', 'mavenExecuteIntegration', 'testsPublishResults'],
        Acceptance: ['cloudFoundryDeploy', 'neoDeploy', 'kubernetesDeploy', 'healthExecuteCheck', 'gaugeExecuteTests', 'newmanExecute', 'uiVeri5ExecuteTests',
                     'npmExecuteEndToEndTests', 'testsPublishResults'],
        Security: ['checkmarxExecuteScan', 'detectExecuteScan', 'fortifyExecuteScan', 'whitesourceExecuteScan'],
        Performance: ['gatlingExecuteTests'],
        Compliance: ['sonarExecuteScan'],
        Promote: ['containerPushToRegistry', 'nexusUpload'],
        Release: ['cloudFoundryDeploy', 'neoDeploy', 'kubernetesDeploy', 'tmsExport', 'healthExecuteCheck', 'npmExecuteEndToEndTests', 'githubPublishRelease',
                  'transportRequestUploadCTS'],
    ]
    static final List<String> VOTING = ['buildExecute', 'testsPublishResults', 'checksPublishResults', 'sonarExecuteScan', 'karmaExecuteTests', 'mavenExecuteIntegration',
                                        'mavenExecuteStaticCodeChecks', 'npmExecuteLint', 'npmExecuteScripts', 'whitesourceExecuteScan']
    /** In place of those that another step of the stage leaves out. */
    static final Map<String, List<String>> INSTEAD = [Acceptance: ['multicloudDeploy'], Performance: ['multicloudDeploy'], Release: ['multicloudDeploy', 'tmsUpload']]
    /** By the key of the configuration or the file that makes it run, without a flag. */
    static final Map<String, Map<String, Object>> KEYS = [
        Init: [slackSendNotification: [channel: 'c']],
        'Additional Unit Tests': [npmExecuteScripts: [runScripts: ['test']]],
        Integration: [npmExecuteScripts: [runScripts: ['it']]],
        Acceptance: [multicloudDeploy: [cfTargets: [[:]]], cloudFoundryDeploy: [cfSpace: 's'], healthExecuteCheck: [testServerUrl: 'https://a'],
                     newmanExecute: [testRepository: 'r'], uiVeri5ExecuteTests: [testRepository: 'r'], npmExecuteEndToEndTests: [appUrls: [[:]]]],
        Security: [checkmarxExecuteScan: [checkmarxCredentialsId: 'c'], fortifyExecuteScan: [fortifyCredentialsId: 'f'], whitesourceExecuteScan: [userTokenCredentialsId: 'w']],
        Performance: [multicloudDeploy: [neoTargets: [[:]]], gatlingExecuteTests: [appUrls: [[:]]]],
        Promote: [containerPushToRegistry: [dockerRegistryUrl: 'https://r'], nexusUpload: [url: 'https://n']],
        Release: [neoDeploy: [neo: [account: 'a']], tmsUpload: [nodeName: 'n'], githubPublishRelease: [githubTokenCredentialsId: 'g'], healthExecuteCheck: [testServerUrl: 'https://r']],
    ]

    /** Stage and step of every step that ran. */
    final Set<List<String>> ran = [] as LinkedHashSet

    /** Runs the whole pipeline for a configuration (JSON is YAML), with a stand-in for every step of the other library. */
    void run(Map configuration, Map<String, String> branch = [BRANCH_NAME: 'main', BRANCH_IS_PRIMARY: 'true'], Collection<String> missing = []) {
        File program = new File(tmp.root, 'planning-engine')
        String answer = JsonOutput.toJson(FakeEngine.SUCCESS + [exitCode: 0])
        program.text = """#!/bin/sh
if [ "\$1" = plan ]; then exec '${Servers.program('towline').path}' "\$@"; fi
printf '%s' '$answer'
"""
        program.setExecutable(true)
        jenkins.agent.putAll(branch)
        jenkins.agent.TOWLINE_ENGINE = program.path
        jenkins.answers << [proceed: true, by: 'ann']
        File file = new File(jenkins.workspace, '.pipeline/config.yml')
        file.parentFile.mkdirs()
        file.text = JsonOutput.toJson(configuration)
        ran.clear()
        CpsHarness harness = new CpsHarness(jenkins)
        Set<String> names = (PIPERS.values().flatten() + VOTING + INSTEAD.values().flatten() + ['mavenBuild', 'mtaBuild']) as Set<String>
        (names - 'containerPushToRegistry' - missing).each { String name ->
            jenkins.others[name] = { Map given -> ran << [jenkins.environment().STAGE_NAME, name]; null }
        }
        harness.runWithoutNode('towlinePipeline script: this\necho(\'version \' + towlineEnvironment.get(\'artifactVersion\'))')
        if (jenkins.record.steps.any { it.name == 'sh' && it.arguments.label == 'towline containerPushToRegistry' }) { ran << ['Promote', 'containerPushToRegistry'] }
    }

    static Map flags(Map<String, List<String>> steps, Map more = [:]) {
        [general: [buildTool: 'maven'] + more, stages: steps.collectEntries { String stage, List<String> names -> [(stage): names.collectEntries { [(it): true] }] }]
    }

    static Set<List<String>> pairs(Map<String, List<String>> steps) { steps.collectMany { String stage, List<String> names -> names.collect { [stage, it] } } as Set }

    @Test void 'the tables have all 57 pairs of stage and step'() {
        assert pairs(PIPERS).size() + VOTING.size() + INSTEAD.values().flatten().size() == 57
    }

    @Test void 'every step of every stage runs by its flag'() {
        run(flags(PIPERS))
        assert ran == pairs(PIPERS)
    }

    @Test void 'with multicloudDeploy and tmsUpload the steps that they replace do not run'() {
        run(flags(PIPERS + [Acceptance: PIPERS.Acceptance + INSTEAD.Acceptance, Performance: PIPERS.Performance + INSTEAD.Performance, Release: PIPERS.Release + INSTEAD.Release]))
        List<String> replaced = ['cloudFoundryDeploy', 'neoDeploy', 'kubernetesDeploy', 'tmsExport']
        assert ran == pairs(PIPERS).findAll { !(it[1] in replaced) } + pairs(INSTEAD)
    }

    @Test void 'the steps of Pull-Request Voting run by their flags, in change requests only'() {
        run(flags(PIPERS + ['Pull-Request Voting': VOTING]), [BRANCH_NAME: 'PR-1', CHANGE_ID: '1'])
        assert ran.findAll { it[0] == 'Pull-Request Voting' } == VOTING.collect { ['Pull-Request Voting', it] } as Set
        assert ran*.getAt(0).toSet() - ['Init', 'Pull-Request Voting', 'Post'] == [] as Set
    }

    @Test void 'each step with a condition runs by it alone, and the others of the stage do not'() {
        KEYS.each { String stage, Map<String, Object> keys ->
            keys.each { String step, Object settings ->
                jenkins = new StepBackend(tmp.newFolder())
                run([stages: [(stage): settings]])
                assert ran.contains([stage, step]) : "$stage $step"
                List<String> same = keys.findAll { it.value == settings }*.key
                assert ran.findAll { it[0] == stage }*.getAt(1).toSet() - same - ['testsPublishResults', 'pipelineStashFilesBeforeBuild', 'artifactPrepareVersion'] == [] as Set : "$stage $step"
            }
        }
    }

    @Test void 'a build that no library versions gets the version of its file'() {
        new File(jenkins.workspace, 'VERSION').text = '1.10\n'
        run([:], [BRANCH_NAME: 'main', BRANCH_IS_PRIMARY: 'true'], ['artifactPrepareVersion'])
        assert jenkins.log.any { it.startsWith('version 1.10') }
    }

    @Test void 'without any flag nothing of a later stage runs, and nothing fails'() {
        run([:])
        assert ran*.getAt(0).toSet() - ['Init', 'Post'] == [] as Set
    }

    @Test void 'a flag for a step that no library has fails its stage with step, stage and line'() {
        try {
            run(flags([Release: ['transportRequestUploadCTS']]), [BRANCH_NAME: 'main', BRANCH_IS_PRIMARY: 'true'], ['transportRequestUploadCTS'])
            assert false
        } catch (hudson.AbortException e) {
            assert e.message.contains('transportRequestUploadCTS is active in stage Release (.pipeline/config.yml:1)')
        }
    }
}
