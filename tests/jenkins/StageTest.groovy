import org.junit.Test

/** vars/towlineStage.groovy and vars/towlinePipeline.groovy against a prepared plan. */
class StageTest extends LibraryTest {

    static Map step(String name, String active = 'yes', boolean engine = true) { [name: name, active: active, why: 'because', engine: engine] }

    static Map stage(String name, List<Map> steps, String active = 'yes') { [name: name, active: active, why: 'because', steps: steps] }

    static Map plan(Map... stages) { [outputs: [stages: stages as List]] }

    /** The calls of the engine in short: command, step or stage, --if-active. */
    List<List<String>> calls() {
        (0..<engine.calls).collect { int call -> List<String> a = engine.arguments(call); a.findAll { !it.startsWith('/') && !(it in ['--request', 'env:TOWLINE_REQUEST', '--result', '-']) } }
    }

    @Test void 'a stage alone asks for its plan and runs what is not ruled out'() {
        CpsHarness h = answering(plan(stage('Build', [step('imagePushToRegistry'), step('gitOpsUpdateDeployment', 'undecided'), step('helmExecute', 'no')])), [:], [:])
        h.run("towlineStage script: this, name: 'Build'")
        assert calls() == [['plan', '--stage', 'Build'], ['run', 'imagePushToRegistry', '--if-active'], ['run', 'gitOpsUpdateDeployment', '--if-active']]
        assert (0..2).collect { engine.request(it).stage } == ['Build', 'Build', 'Build']
        assert jenkins.entered.contains(['stage', 'Build'])
    }

    @Test void 'a stage may be shown by another name, and its steps know it by its own'() {
        CpsHarness h = answering()
        h.addVar('kanikoExecute', "void call(Map p) { echo('in ' + env.STAGE_NAME) }")
        h.run("towlineStage script: this, name: 'Build', plan: [title: 'build', steps: [[name: 'kanikoExecute', active: 'yes']]]")
        assert jenkins.entered.contains(['stage', 'build'])
        assert jenkins.log.contains('in Build')
    }

    @Test void 'a stage that is switched off runs nothing and says why'() {
        answering(plan(stage('Release', [step('gitOpsUpdateDeployment', 'no')], 'no'))).run("towlineStage script: this, name: 'Release'")
        assert calls() == [['plan', '--stage', 'Release']]
        assert jenkins.log.contains('[towlineStage] nothing to do in stage Release: because')
    }

    @Test void 'a stage without a name takes the one it stands in'() {
        answering(plan(stage('Build', []))).run("stage('Build') { towlineStage script: this }")
        assert calls() == [['plan', '--stage', 'Build']]
        assert jenkins.entered.count { it[0] == 'stage' } == 1
    }

    @Test void 'a stage alone takes no lock and passes no milestone, so it may run twice and in any order'() {
        Map planned = plan(stage('Release', []) + [lock: 'demo/90', milestone: true, ordinal: 90])
        CpsHarness h = answering(planned, planned)
        h.run("towlineStage script: this, name: 'Release'\ntowlineStage script: this, name: 'Release'")
        assert jenkins.record.names.intersect(['lock', 'milestone']) == []
    }

    @Test void 'a stage that cannot be told is an error'() {
        assert failure(answering(), 'towlineStage script: this').startsWith('[towlineStage] which stage?')
    }

    @Test void 'the step of another library is called by its name with the script'() {
        CpsHarness h = answering(plan(stage('Build', [step('kanikoExecute', 'yes', false), step('imagePushToRegistry')])), [:])
        h.addVar('kanikoExecute', "void call(Map p) { echo('kaniko ' + p.keySet()); p.script.towlineEnvironment.set('container/imageNameTag', 'a:1') }")
        h.run("towlineStage script: this, name: 'Build'")
        assert jenkins.log.contains('kaniko [script]')
        assert engine.request(1).pipelineEnvironment == ['container/imageNameTag': 'a:1']
    }

    @Test void 'the step of another library gets what the plan passes on to it'() {
        CpsHarness h = answering(plan(stage('Release', [step('multicloudDeploy', 'yes', false) + [parameters: [stage: 'Release']]])))
        h.addVar('multicloudDeploy', "void call(Map p) { echo('multicloud ' + p.keySet() + ' ' + p.stage) }")
        h.run("towlineStage script: this, name: 'Release'")
        assert jenkins.log.contains('multicloud [script, stage] Release')
    }

    @Test void 'a parameter that there is not is an error before anything runs'() {
        assert failure(answering(), "towlineStage script: this, name: 'Build', default: ['team.yml']").contains('unknown parameter default; the parameters are script')
        assert failure(answering(), "towlinePipeline script: this, default: ['team.yml']").contains('unknown parameter default; the parameters are script')
        assert calls() == []
    }

    @Test void 'the step of a plugin is called as well'() {
        CpsHarness h = answering(plan(stage('Build', [step('kanikoExecute', 'yes', false)])))
        boolean ran = false
        jenkins.others.kanikoExecute = { Map p -> ran = true; null }
        h.run("towlineStage script: this, name: 'Build'")
        assert ran
    }

    @Test void 'a step that nobody offers is named'() {
        assert failureOfMissing("towlineStage script: this, name: 'Build'", 'kanikoExecute') ==
            '[towlineStage] kanikoExecute is active in stage Build, but no loaded library has it; load a library that has it, or switch the step off'
    }

    private String failureOfMissing(String jenkinsfile, String name) { failure(answering(plan(stage('Build', [step(name, 'yes', false)]))), jenkinsfile) }

    @Test void 'a step that is missing inside of another library is not taken for that library'() {
        CpsHarness h = answering(plan(stage('Build', [step('kanikoExecute', 'yes', false)])))
        h.addVar('kanikoExecute', 'void call(Map p) { noSuchStep() }')
        try {
            h.run("towlineStage script: this, name: 'Build'")
            assert false
        } catch (NoSuchMethodError e) {
            assert e.message.contains('noSuchStep')
        }
    }

    @Test void 'what was undecided for another library is asked for once more when its turn comes'() {
        Map stale = stage('Build', [step('kanikoExecute', 'undecided', false), step('helmExecute', 'undecided', false)])
        CpsHarness h = answering(plan(stage('Build', [step('kanikoExecute', 'yes', false)])), plan(stage('Build', [step('helmExecute', 'undecided', false)])))
        List<String> ran = []
        ['kanikoExecute', 'helmExecute'].each { String name -> jenkins.others[name] = { Map p -> ran << name; null } }
        h.addVar('stale', "Map call() { return ${groovy.json.JsonOutput.toJson(stale).replace('{', '[').replace('}', ']')} }")
        h.run("towlineStage script: this, name: 'Build', plan: stale()")
        assert ran == ['kanikoExecute']
        assert jenkins.log.contains('[towlineStage] helmExecute is left out in stage Build: because')
    }

    // The whole pipeline

    @Test void 'a pipeline plans once and runs every stage that is not ruled out, in order'() {
        CpsHarness h = answering(plan(stage('Build', [step('imagePushToRegistry')]), stage('Acceptance', [step('gitOpsUpdateDeployment')], 'undecided'),
                                      stage('Release', [step('gitOpsUpdateDeployment')], 'no')), [:], [:])
        h.runWithoutNode('''@Library('towline') _
towlinePipeline script: this, nodeLabel: 'linux', defaults: [[name: 'acme', text: 'general: {}']]''')
        assert calls() == [['plan'], ['run', 'imagePushToRegistry', '--if-active'], ['run', 'gitOpsUpdateDeployment', '--if-active']]
        assert (0..2).collect { engine.request(it).stage } == ['', 'Build', 'Acceptance']
        assert jenkins.log.contains('[towlinePipeline] done')
        assert (0..2).every { engine.request(it).defaults == [[name: 'acme', text: 'general: {}']] }
        assert jenkins.entered.findAll { it[0] in ['node', 'stage'] } == [['node', 'linux'], ['stage', 'Build'], ['stage', 'Acceptance']]
    }

    @Test void 'a failing stage ends the pipeline'() {
        CpsHarness h = answering(plan(stage('Build', [step('imagePushToRegistry')]), stage('Acceptance', [step('gitOpsUpdateDeployment')])),
            [status: 'failure', exit: 3, error: [category: 'config', message: 'no image', where: '', hint: '']])
        assert failure(h, 'towlinePipeline script: this').contains('no image')
        assert engine.calls == 2
        assertNothingIsLeft()
    }

    @Test void 'the source is checked out where the job has one, and the engine learns its commit'() {
        CpsHarness h = answering(plan(stage('Build', [])))
        jenkins.source = tmp.newFolder('project')
        new File(jenkins.source, 'a.txt').text = 'x'
        jenkins.checkedOut = [GIT_URL: 'https://git.invalid/a.git', GIT_COMMIT: 'c0ffee']
        h.runWithoutNode('towlinePipeline script: this')
        assert new File(jenkins.workspace, 'a.txt').text == 'x'
        assert engine.request().build.sourceRepository == 'https://git.invalid/a.git'
        assert engine.request().build.sourceCommit == 'c0ffee'
        assert jenkins.entered[0] == ['node', '']
    }

    @Test void 'without the script the pipeline says what to write'() {
        assert failure(answering(), 'towlinePipeline()').contains('call it with script: this')
    }
}
