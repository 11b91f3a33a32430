import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException
import org.junit.Test

/** The whole pipeline against a prepared plan: Confirm, Post, order of builds, extensions, agents, and steps that are missing or may fail. */
class PipelineTest extends LibraryTest {

    static Map step(String name, Map more = [:]) { [name: name, active: 'yes', why: 'because', engine: false] + more }

    static Map stage(String name, List<Map> steps, Map more = [:]) { [name: name, technicalName: name.toLowerCase(), active: 'yes', why: 'because', steps: steps] + more }

    static Map plan(List<Map> stages, Map more = [:]) { [outputs: [stages: stages] + more] }

    static final Map ASKS = [confirm: [asks: true, asksIfUnstable: true, message: 'Deploy to Release?', timeoutHours: 5, submitters: '']]
    static final Map DOES_NOT_ASK = [confirm: [asks: false, asksIfUnstable: true, message: 'Deploy to Release?', timeoutHours: 5, submitters: '']]
    static final String ONE_LINE = 'towlinePipeline script: this'

    /** The actions of the steps of other libraries, in order. */
    final List<String> ran = []

    CpsHarness pipeline(Map... answers) {
        ['one', 'two', 'three'].each { String name -> jenkins.others[name] = { Map given -> ran << name; null } }
        return answering(answers)
    }

    static Map three(Map more = ASKS) { plan([stage('Build', [step('one')]), stage('Release', [step('two')], [afterConfirm: true])], more) }

    List<String> nodes() { jenkins.entered.findAll { it[0] == 'node' }*.getAt(1) }

    String failed(CpsHarness h, String text = ONE_LINE) {
        try { h.runWithoutNode(text) } catch (Exception e) { return e.message }
        throw new AssertionError('the Jenkinsfile did not fail' as Object)
    }

    // Confirm

    @Test void 'Confirm is asked without an agent, and the stages after it run on another one'() {
        CpsHarness h = pipeline(three())
        jenkins.freshAgents = true
        Object agentWhileAsked = 'not asked'
        jenkins.answers << [proceed: true, by: 'ann']
        jenkins.others.two = { Map given -> ran << 'two'; agentWhileAsked = jenkins.record.steps.findAll { it.name == 'input' }.size(); null }
        h.runWithoutNode(ONE_LINE)
        assert ran == ['one', 'two']
        assert nodes() == ['', '']
        assert jenkins.record.names.indexOf('input') > jenkins.record.names.indexOf('node')
        assert jenkins.log.any { it.contains('[towlineConfirm] confirmed by ann') }
        assert agentWhileAsked == 1
    }

    @Test void 'without a question everything runs on one agent'() {
        CpsHarness h = pipeline(three(DOES_NOT_ASK))
        h.runWithoutNode(ONE_LINE)
        assert ran == ['one', 'two'] && nodes() == ['']
        assert !jenkins.record.names.contains('input')
    }

    @Test void 'nothing is asked if no later stage runs'() {
        CpsHarness h = pipeline(plan([stage('Build', [step('one')]), stage('Release', [step('two')], [afterConfirm: true, active: 'no'])], ASKS))
        h.runWithoutNode(ONE_LINE)
        assert ran == ['one'] && !jenkins.record.names.contains('input')
    }

    @Test void 'a refusal aborts the build, and no later stage runs'() {
        CpsHarness h = pipeline(three())
        jenkins.answers << [proceed: false, by: 'bob']
        try { h.runWithoutNode(ONE_LINE); assert false } catch (FlowInterruptedException e) { assert e.result == 'ABORTED' }
        assert ran == ['one'] && jenkins.build.result == 'ABORTED'
    }

    @Test void 'no answer in time aborts the build'() {
        CpsHarness h = pipeline(three())
        try { h.runWithoutNode(ONE_LINE); assert false } catch (FlowInterruptedException ignored) { assert ran == ['one'] }
        assert jenkins.now >= 5 * 3600 * 1000L
    }

    @Test void 'only the submitters of the plan may answer'() {
        CpsHarness h = pipeline(three([confirm: ASKS.confirm + [submitters: 'ops,ann']]))
        jenkins.answers.addAll([[proceed: true, by: 'eve'], [proceed: true, by: 'ann']])
        h.runWithoutNode(ONE_LINE)
        assert jenkins.log.any { it.contains('confirmed by ann') }
        assert jenkins.record.steps.find { it.name == 'input' }.arguments.submitter == 'ops,ann'
    }

    @Test void 'an unstable build is asked about with a reason, until there is one'() {
        CpsHarness h = pipeline(plan([stage('Build', [step('one', [failOnError: false])]), stage('Release', [step('two')], [afterConfirm: true])], DOES_NOT_ASK))
        jenkins.others.one = { Map given -> throw new hudson.AbortException('tests failed') }
        jenkins.others.text = { Map m -> m }
        jenkins.others.booleanParam = { Map m -> m }
        jenkins.answers.addAll([[proceed: true, by: 'ann', values: [reason: 'short', acknowledgement: true]],
                                [proceed: true, by: 'ann', values: [reason: 'known flaky test', acknowledgement: false]],
                                [proceed: true, by: 'ann', values: [reason: 'known flaky test', acknowledgement: true]]])
        h.runWithoutNode(ONE_LINE)
        assert ran == ['two'] && jenkins.build.result == 'UNSTABLE'
        assert jenkins.record.names.count { it == 'input' } == 3
        assert jenkins.record.steps.find { it.name == 'input' }.arguments.message.contains('one')
        assert jenkins.log.any { it.contains('confirmed by ann: known flaky test') }
    }

    // The same commit

    String git(String... words) { new ProcessBuilder(['git', '-c', 'user.name=a', '-c', 'user.email=a@b.invalid', *words] as List<String>).directory(jenkins.source).start().text.trim() }

    /** A project in git whose branch moves on while the build waits. */
    List<String> built(Map<String, String> more = [:]) {
        CpsHarness h = pipeline(three())
        jenkins.freshAgents = true
        jenkins.source = tmp.newFolder('project')
        git('init', '-q')
        more.each { String name, String text -> new File(jenkins.source, name).text = text }
        Closure commit = { String text ->
            new File(jenkins.source, 'a.txt').text = text
            git('add', '-A')
            git('commit', '-q', '-m', text)
            jenkins.checkedOut = [GIT_URL: 'https://git.invalid/a.git', GIT_COMMIT: git('rev-parse', 'HEAD')]
        }
        commit('old')
        jenkins.answers << [proceed: true, by: 'ann']
        List<String> seen = []
        Closure look = { -> seen << jenkins.environment().GIT_COMMIT + ' ' + new File(jenkins.cwd(), 'a.txt').text }
        jenkins.others.one = { Map given -> look(); commit('new'); null }
        jenkins.others.two = { Map given -> look(); null }
        h.runWithoutNode(ONE_LINE)
        return seen
    }

    @Test void 'the agent after Confirm gets the commit that was built, though the branch has moved'() {
        List<String> seen = built()
        assert seen.size() == 2 && seen[0] == seen[1] && seen[0].endsWith(' old')
    }

    @Test void 'a commit that cannot be had again ends the build before anything is deployed'() {
        try { built('.gitmodules': ''); assert false } catch (hudson.AbortException e) { assert e.message.contains('run the build again') }
    }

    // Post

    static Map withPost(Map build = step('one')) {
        plan([stage('Build', [build]), stage('Post', [step('two', [afterFailure: true, required: true]), step('three', [afterFailure: true])], [post: true])])
    }

    @Test void 'Post runs after success, last and once'() {
        pipeline(withPost()).runWithoutNode(ONE_LINE)
        assert ran == ['one', 'two', 'three']
    }

    @Test void 'Post runs after a failure, knows of it, and does not hide it'() {
        CpsHarness h = pipeline(withPost())
        jenkins.others.one = { Map given -> throw new hudson.AbortException('no image') }
        List results = []
        jenkins.others.two = { Map given -> results << jenkins.build.result; throw new hudson.AbortException('mail failed') }
        assert failed(h) == 'no image'
        assert results == ['FAILURE'] && ran == ['three']
        assert jenkins.log.any { it.contains('mail failed') }
    }

    @Test void 'Post runs after an abort'() {
        CpsHarness h = pipeline(withPost())
        jenkins.others.one = { Map given -> throw new FlowInterruptedException('ABORTED', 'ann') }
        failed(h)
        assert ran == ['two', 'three'] && jenkins.build.result == 'ABORTED'
    }

    @Test void 'a step that fails in Post fails a build that was good'() {
        CpsHarness h = pipeline(withPost())
        jenkins.others.two = { Map given -> throw new hudson.AbortException('mail failed') }
        assert failed(h) == 'mail failed'
        assert ran == ['one', 'three']
    }

    @Test void 'Post takes no agent if no library has its steps'() {
        CpsHarness h = pipeline(plan([stage('Build', [step('one')]), stage('Post', [step('nobodyHasIt', [required: false, afterFailure: true])], [post: true])]))
        h.runWithoutNode(ONE_LINE)
        assert ran == ['one'] && nodes() == ['']
    }

    @Test void 'Post runs for a step that a library has, though nothing asked for it'() {
        CpsHarness h = pipeline(plan([stage('Build', [step('one')]), stage('Post', [step('reports', [required: false, afterFailure: true])], [post: true])]))
        h.addVar('reports', "void call(Map p) { echo 'reported' }")
        h.runWithoutNode(ONE_LINE)
        assert jenkins.log.contains('reported') && nodes() == ['', '']
    }

    // Order of builds

    static Map ordered() { plan([stage('Build', [step('one')], [lock: 'demo/10', milestone: true, ordinal: 10, timeout: 30])]) }

    @Test void 'a stage runs inside its lock, its milestone and its time limit'() {
        pipeline(ordered()).runWithoutNode(ONE_LINE)
        List<String> names = jenkins.record.names
        assert ran == ['one']
        assert ['stage', 'lock', 'milestone', 'timeout'].collect { names.indexOf(it) } == ['stage', 'lock', 'milestone', 'timeout'].collect { names.indexOf(it) }.sort()
        assert jenkins.record.steps.find { it.name == 'lock' }.arguments == [resource: 'demo/10', inversePrecedence: true]
    }

    @Test void 'an older build ends at a milestone that a newer one has passed'() {
        CpsHarness h = pipeline(ordered())
        jenkins.newerMilestone = 10
        try { h.runWithoutNode(ONE_LINE); assert false } catch (FlowInterruptedException e) { assert e.result == 'NOT_BUILT' }
        assert ran == []
    }

    @Test void 'a controller without lock and milestone runs the stage, and says so once each'() {
        CpsHarness h = pipeline(ordered(), ordered())
        ['lock', 'milestone'].each { String name ->
            jenkins.missing.clear()
            jenkins.missing << name
            ran.clear()
            jenkins.log.clear()
            h.runWithoutNode(ONE_LINE)
            assert ran == ['one'] : name
            assert jenkins.log.count { it.contains("this controller has no step $name") } == 1 : name
        }
    }

    @Test void 'a step that misses lock is not taken for a controller without it'() {
        CpsHarness h = pipeline(ordered())
        jenkins.others.remove('one')
        h.addVar('one', "void call(Map given) { echo 'begun'; lockThem() }")
        assert failedWithError(h).contains("No such DSL method 'lockThem'")
        assert jenkins.log.count { it == 'begun' } == 1
    }

    private String failedWithError(CpsHarness h) {
        try { h.runWithoutNode(ONE_LINE) } catch (NoSuchMethodError e) { return e.message }
        throw new AssertionError('the Jenkinsfile did not fail' as Object)
    }

    // Extensions

    CpsHarness extended(Map<String, String> files) {
        CpsHarness h = pipeline(plan([stage('Build', [step('one')], [extensions: files.keySet() as List, configuration: [who: 'team']])]))
        files.each { String name, String text -> File file = new File(jenkins.workspace, name); file.parentFile.mkdirs(); file.text = text }
        return h
    }

    @Test void 'an extension wraps its stage, the outermost first'() {
        String around = "void call(Map p) { echo('%s ' + p.stageName + ' ' + p.config.who); p.originalStage.call(); echo 'after %s' }\nreturn this"
        extended(['a/Build.groovy': around.replace('%s', 'outer'), 'b/Build.groovy': around.replace('%s', 'inner')]).runWithoutNode(ONE_LINE)
        assert jenkins.log.findAll { it.contains('outer') || it.contains('inner') } == ['outer Build team', 'inner Build team', 'after inner', 'after outer']
        assert ran == ['one']
    }

    @Test void 'an extension may replace its stage'() {
        extended(['a/Build.groovy': "void call(Map p) { echo 'mine' }\nreturn this"]).runWithoutNode(ONE_LINE)
        assert jenkins.log.contains('mine') && ran == []
    }

    @Test void 'an extension that does not return itself is named'() {
        assert failed(extended(['a/Build.groovy': "void call(Map p) { }\nreturn null"])).contains('a/Build.groovy does not end with `return this`')
    }

    // Agents

    @Test void 'scans run side by side, each on an agent of its own, and one that fails does not stop the others'() {
        CpsHarness h = pipeline(plan([stage('Security', [step('one'), step('two'), step('three', [active: 'no'])], [parallel: true, node: 'scan'])]))
        jenkins.others.one = { Map given -> throw new hudson.AbortException('found something') }
        assert failed(h) == 'found something'
        assert ran == ['two']
        assert nodes() == ['', 'scan', 'scan']
    }

    @Test void 'a stage gets an agent of its own where the plan says so'() {
        pipeline(plan([stage('Build', [step('one')], [ownNode: true, node: 'big'])])).runWithoutNode(ONE_LINE)
        assert nodes() == ['', 'big'] && ran == ['one']
    }

    // Steps

    @Test void 'after a failure only the steps that publish results run'() {
        CpsHarness h = pipeline(plan([stage('Build', [step('one'), step('two'), step('three', [afterFailure: true])])]))
        jenkins.others.one = { Map given -> throw new hudson.AbortException('does not compile') }
        assert failed(h) == 'does not compile'
        assert ran == ['three']
    }

    @Test void 'a step that nobody asked for by name is left out with a note if no library has it'() {
        CpsHarness h = pipeline(plan([stage('Build', [step('unknownStep', [required: false]), step('one')])]))
        h.runWithoutNode(ONE_LINE)
        assert ran == ['one']
        assert jenkins.log.count { it.contains('unknownStep is left out in stage Build: no loaded library has it') } == 1
    }

    @Test void 'a step that the configuration asks for fails the stage, with its line'() {
        CpsHarness h = pipeline(plan([stage('Build', [step('unknownStep', [required: true, where: '.pipeline/config.yml:3']), step('one')])]))
        assert failed(h).contains('unknownStep is active in stage Build (.pipeline/config.yml:3), but no loaded library has it')
        assert ran == []
    }

    @Test void 'a step that no library has is replaced by the steps that it would run'() {
        Map whole = step('buildExecute', [required: true, parts: [step('one', [required: true]), step('two', [required: true])]])
        pipeline(plan([stage('Build', [whole, step('three')])])).runWithoutNode(ONE_LINE)
        assert ran == ['one', 'two', 'three']
    }

    @Test void 'a step that a library has is called once, and not its parts'() {
        Map whole = step('three', [required: true, parts: [step('one', [required: true])]])
        pipeline(plan([stage('Build', [whole])])).runWithoutNode(ONE_LINE)
        assert ran == ['three']
    }

    @Test void 'failOnError false makes the build unstable and lists the step, but an abort stays an abort'() {
        Map tolerant = plan([stage('Build', [step('one', [failOnError: false]), step('two')])])
        CpsHarness h = pipeline(tolerant, tolerant)
        jenkins.others.one = { Map given -> throw new hudson.AbortException('lint failed') }
        h.runWithoutNode(ONE_LINE + "\necho(towlineEnvironment.get('unstableSteps').toString())")
        assert ran == ['two'] && jenkins.build.result == 'UNSTABLE' && jenkins.log.contains('[one]')

        jenkins.build.remove('result')
        jenkins.others.one = { Map given -> throw new FlowInterruptedException('ABORTED', 'ann') }
        failed(h)
        assert jenkins.build.result == 'ABORTED'
    }

    @Test void 'a step that may fail has its own time limit'() {
        CpsHarness h = pipeline(plan([stage('Build', [step('slow', [failOnError: false, timeoutMinutes: 2]), step('two')])]))
        h.addVar('slow', "void call(Map given) { sleep(time: 9999) }")
        h.runWithoutNode(ONE_LINE)
        assert ran == ['two'] && jenkins.build.result == 'UNSTABLE'
    }

    @Test void 'the steps of the Piper library find the configuration of the project'() {
        CpsHarness h = pipeline(plan([stage('Build', [step('reads')])], [configuration: [general: [verbose: true]]]))
        h.addVar('commonPipelineEnvironment', 'class commonPipelineEnvironment implements Serializable { Map configuration = [:]; Map getCPEMap(Object s) { [:] }; void setCPEMap(Object s, Map m) { } }')
        h.addVar('reads', "void call(Map p) { echo(p.script.commonPipelineEnvironment.configuration.general.verbose.toString()) }")
        h.runWithoutNode(ONE_LINE)
        assert jenkins.log.contains('true')
    }

    @Test void 'the page of the build says what was pushed and deployed'() {
        Map ours = plan([stage('Build', [step('imagePushToRegistry', [engine: true]), step('gitOpsUpdateDeployment', [engine: true])])])
        CpsHarness h = pipeline(ours, [summary: 'app:1 pushed'], [status: 'unchanged', summary: 'nothing to do'])
        h.runWithoutNode(ONE_LINE)
        assert jenkins.build.description == 'Build: app:1 pushed'
    }

    @Test void 'a commit of Towline itself builds nothing'() {
        CpsHarness h = pipeline(plan([stage('Build', [step('one')])], [deployCommit: [is: true, why: 'HEAD deploys app:1 to Acceptance']]))
        h.runWithoutNode(ONE_LINE)
        assert ran == [] && jenkins.build.result == 'NOT_BUILT'
        assert jenkins.log.any { it.contains('nothing to build: HEAD deploys app:1 to Acceptance') }
    }

    @Test void 'the controller names default documents for all jobs, and the call adds to them'() {
        CpsHarness h = pipeline(plan([stage('Build', [])]))
        jenkins.build.TOWLINE_DEFAULTS_RESOURCES = 'company/a.yml, company/b.yml'
        File company = tmp.newFolder('company-library', 'company')
        ['a', 'b'].each { String name -> new File(company, name + '.yml').text = "general: {$name: 1}" }
        jenkins.resources << company.parentFile
        h.runWithoutNode("towlinePipeline script: this, defaults: [[name: 'team', text: 'general: {}']]")
        assert engine.request().defaults*.name == ['company/a.yml', 'company/b.yml', 'team']
        assert engine.request().defaults[0].text == 'general: {a: 1}'
    }

    // Beside Piper's library

    /** Piper's library with two steps of the same names as ours, above or below ours in the controller's list. */
    CpsHarness beside(boolean first, Map... answers) {
        CpsHarness h = pipeline(answers)
        h.addLibrary('piper-lib-os', [imagePushToRegistry: "void call(Map p) { echo 'piper pushes' }", gitOpsUpdateDeployment: "void call(Map p) { echo 'piper deploys' }",
                                      sonarExecuteScan: "void call(Map p) { echo 'piper scans' }"], false, first)
        return h
    }

    @Test void 'whichever library is first has the names, and both orders have the call without a collision'() {
        CpsHarness above = beside(false, [:], [:])
        above.run("imagePushToRegistry script: this\ntowline.step('imagePushToRegistry', script: this)")
        assert engine.calls == 2 && !jenkins.log.contains('piper pushes')
    }

    @Test void 'below the other library, its step has the name, and ours is called without a collision'() {
        CpsHarness below = beside(true, [:])
        below.run("imagePushToRegistry script: this\ntowline.step('imagePushToRegistry', script: this, targetImageTag: '1')")
        assert jenkins.log.contains('piper pushes')
        assert engine.calls == 1 && engine.request().step == 'imagePushToRegistry' && engine.request().parameters == [targetImageTag: '1']
    }

    @Test void 'the pipeline runs our steps by the engine in both orders, and the others of the other library'() {
        [true, false].each { boolean first ->
            jenkins.log.clear()
            new File(tmp.root, 'engine').deleteDir()
            Map planned = plan([stage('Build', [step('imagePushToRegistry', [engine: true]), step('sonarExecuteScan'), step('gitOpsUpdateDeployment', [engine: true])])])
            beside(first, planned, [:], [:]).runWithoutNode(ONE_LINE)
            assert jenkins.log.contains('piper scans') && !jenkins.log.any { it in ['piper pushes', 'piper deploys'] }
            assert (1..2).collect { engine.request(it).step } == ['imagePushToRegistry', 'gitOpsUpdateDeployment']
        }
    }

    @Test void 'an extension of a stage of the other pipeline may call a step of ours'() {
        CpsHarness h = beside(true, [:])
        File extension = new File(jenkins.workspace, '.pipeline/extensions/Acceptance.groovy')
        extension.parentFile.mkdirs()
        String page = new File('docs/migrating-from-piper.md').text
        extension.text = page.substring(page.indexOf('```groovy') + 10, page.indexOf('```', page.indexOf('```groovy') + 10))
        h.run("load('.pipeline/extensions/Acceptance.groovy').call(script: this, stageName: 'Acceptance', config: [:], originalStage: { echo 'stage of the other' })")
        assert jenkins.log.contains('stage of the other')
        assert engine.request().step == 'gitOpsUpdateDeployment' && engine.request().stage == 'Acceptance'
    }

    @Test void 'a build gets a version of its own unless a library has prepared one'() {
        Map version = [version: [value: '20261201-c0ffee', source: 'commit']]
        Map planned = plan([stage('Init', [step('artifactPrepareVersion', [required: false])], [technicalName: 'init']), stage('Build', [step('one')])], version)
        CpsHarness h = pipeline(planned, planned)
        h.runWithoutNode(ONE_LINE + "\necho(towlineEnvironment.get('artifactVersion'))")
        assert jenkins.log.contains('20261201-c0ffee')
        h.addVar('artifactPrepareVersion', "void call(Map p) { p.script.towlineEnvironment.set('artifactVersion', '1.0.0') }")
        h.runWithoutNode(ONE_LINE + "\necho(towlineEnvironment.get('artifactVersion'))")
        assert jenkins.log.contains('1.0.0')
    }
}
