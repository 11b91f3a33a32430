import com.cloudbees.groovy.cps.CpsTransformer
import com.cloudbees.groovy.cps.sandbox.Untrusted
import groovy.transform.CompileStatic
import java.lang.reflect.AccessibleObject
import java.lang.reflect.Constructor
import java.lang.reflect.Field
import java.lang.reflect.Method
import org.codehaus.groovy.ast.ClassCodeExpressionTransformer
import org.codehaus.groovy.ast.ClassNode
import org.codehaus.groovy.ast.FieldNode
import org.codehaus.groovy.ast.MethodNode
import org.codehaus.groovy.ast.stmt.Statement
import org.codehaus.groovy.classgen.GeneratorContext
import org.codehaus.groovy.control.SourceUnit
import org.codehaus.groovy.runtime.DateGroovyMethods
import org.codehaus.groovy.runtime.DefaultGroovyMethods
import org.codehaus.groovy.runtime.EncodingGroovyMethods
import org.codehaus.groovy.runtime.GStringImpl
import org.codehaus.groovy.runtime.ProcessGroovyMethods
import org.codehaus.groovy.runtime.ScriptBytecodeAdapter
import org.codehaus.groovy.runtime.StringGroovyMethods
import org.jenkinsci.plugins.scriptsecurity.sandbox.RejectedAccessException
import org.kohsuke.groovy.sandbox.GroovyInterceptor
import org.kohsuke.groovy.sandbox.SandboxTransformer

/**
 * The sandbox, as script-security has it: every call, property and constructor of untrusted Groovy is held against a list.
 *
 * The list is allowed_signatures.txt: signatures that script-security allows and that the library or its tests need. Code of the
 * pipeline itself (Jenkinsfile, vars) may be called, steps and global variables too; anything else is rejected with its signature.
 */
@CompileStatic
class SandboxGate extends GroovyInterceptor {
    private static final List<Class> GDK = [DefaultGroovyMethods, StringGroovyMethods, EncodingGroovyMethods, DateGroovyMethods,
                                            ProcessGroovyMethods] as List<Class>
    final Set<String> allowed
    /** The signatures of the list that were used, and those that were rejected. */
    final Set<String> used = new TreeSet<String>()
    final List<String> rejected = []
    /** Whether a name is one of the pipeline's global variables. */
    Closure<Boolean> isGlobal = { String name -> false }

    SandboxGate(File list = new File('tests/jenkins/allowed_signatures.txt')) {
        allowed = list.readLines('UTF-8').findAll { String line -> line && !line.startsWith('#') }.toSet()
    }

    @Override Object onMethodCall(GroovyInterceptor.Invoker invoker, Object receiver, String method, Object... args) throws Throwable {
        Method found = methodOf(receiver, method, args)
        boolean arithmetic = receiver instanceof Number || (receiver instanceof String && method == 'plus')
        if (found == null && !arithmetic) {
            List<String> tried = []
            for (Class type in GDK) {
                Method gdk = staticMethodOf(type, method, ([receiver] + Arrays.asList(args)).toArray())
                if (gdk != null && may(gdk, signature('staticMethod', gdk), tried)) { return super.onMethodCall(invoker, receiver, method, args) }
            }
            if (tried) { throw reject(tried[0]) }
            if (receiver instanceof Map && (receiver as Map).get(method) instanceof Closure) { return super.onMethodCall(invoker, receiver, method, args) }
            if (receiver instanceof CpsStepScript) { return super.onMethodCall(invoker, receiver, method, args) }        // a step or a var
            throw reject(receiver instanceof GroovyObject ? 'method groovy.lang.GroovyObject invokeMethod java.lang.String java.lang.Object' +
                " (${receiver.class.name} $method${types(args)})" : "unclassified method ${receiver.class.name} $method${types(args)}")
        }
        if (found != null && !isOwn(found.declaringClass) && !isCps(receiver, method)) { permit(signature('method', found)) }
        return super.onMethodCall(invoker, receiver, method, args)
    }

    @Override Object onStaticCall(GroovyInterceptor.Invoker invoker, Class receiver, String method, Object... args) throws Throwable {
        if (!isOwn(receiver) && !(receiver == ScriptBytecodeAdapter && method in ['asType', 'castToType'])) {
            Method found = staticMethodOf(receiver, method, args)
            permit(found == null ? "unclassified staticMethod ${receiver.name} $method${types(args)}" : signature('staticMethod', found))
        }
        return super.onStaticCall(invoker, receiver, method, args)
    }

    @Override Object onNewInstance(GroovyInterceptor.Invoker invoker, Class receiver, Object... args) throws Throwable {
        if (!isOwn(receiver) && receiver != GStringImpl) {
            Constructor found = receiver.declaredConstructors.find { Constructor c -> fits(c.parameterTypes, args, c.varArgs) } as Constructor
            permit(found == null ? "unclassified new ${receiver.name}${types(args)}" : "new ${receiver.name}${names(found.parameterTypes)}")
        }
        return super.onNewInstance(invoker, receiver, args)
    }

    @Override Object onSuperCall(GroovyInterceptor.Invoker invoker, Class sender, Object receiver, String method, Object... args) throws Throwable {
        Method found = methodOf(receiver, method, args)
        if (found != null && !isOwn(found.declaringClass)) { permit(signature('method', found)) }
        return super.onSuperCall(invoker, sender, receiver, method, args)
    }

    @Override Object onGetProperty(GroovyInterceptor.Invoker invoker, Object receiver, String property) throws Throwable {
        if (receiver instanceof Script && (receiver as Script).binding.hasVariable(property)) { return super.onGetProperty(invoker, receiver, property) }
        if (property == 'length' && receiver.class.array) { return super.onGetProperty(invoker, receiver, property) }
        List<String> tried = []
        String named = property.capitalize()
        for (String getter in ['get' + named, 'is' + named]) {
            Method found = methodOf(receiver, getter)
            if (found != null && may(found, signature('method', found), tried)) { return super.onGetProperty(invoker, receiver, property) }
            for (Class type in GDK) {
                Method gdk = staticMethodOf(type, getter, receiver)
                if (gdk != null && may(gdk, signature('staticMethod', gdk), tried)) { return super.onGetProperty(invoker, receiver, property) }
            }
        }
        Field field = fieldOf(receiver, property)
        if (field != null && may(field, "field ${field.declaringClass.name} ${field.name}", tried)) { return super.onGetProperty(invoker, receiver, property) }
        boolean global = receiver instanceof EnvActionImpl || (receiver instanceof CpsStepScript && isGlobal(property))
        if (global) { return super.onGetProperty(invoker, receiver, property) }
        if (receiver instanceof Class) {
            Class type = receiver as Class
            Method getter = staticMethodOf(type, 'get' + named)
            if (getter != null && may(getter, signature('staticMethod', getter), tried)) { return super.onGetProperty(invoker, receiver, property) }
            Field constant = type.declaredFields.find { Field one -> one.name == property } as Field
            if (constant != null && may(constant, "staticField ${type.name} $property", tried)) { return super.onGetProperty(invoker, receiver, property) }
        }
        if (receiver instanceof Script) { throw new MissingPropertyException(property, receiver.class) }
        throw reject(tried ? tried[0] : "unclassified field ${receiver.class.name} $property")
    }

    @Override Object onSetProperty(GroovyInterceptor.Invoker invoker, Object receiver, String property, Object value) throws Throwable {
        List<String> tried = []
        Method setter = methodOf(receiver, 'set' + property.capitalize(), value)
        Field field = fieldOf(receiver, property)
        boolean permitted = (receiver instanceof Script && !(property in ['binding', 'metaClass'])) || receiver instanceof EnvActionImpl ||
            (setter != null && may(setter, signature('method', setter), tried)) ||
            (field != null && may(field, "field ${field.declaringClass.name} ${field.name}", tried))
        if (permitted) { return super.onSetProperty(invoker, receiver, property, value) }
        throw reject(tried ? tried[0] : "unclassified field ${receiver.class.name} $property")
    }

    @Override Object onGetAttribute(GroovyInterceptor.Invoker invoker, Object receiver, String attribute) throws Throwable {
        permitField(receiver, attribute)
        return super.onGetAttribute(invoker, receiver, attribute)
    }

    @Override Object onSetAttribute(GroovyInterceptor.Invoker invoker, Object receiver, String attribute, Object value) throws Throwable {
        permitField(receiver, attribute)
        return super.onSetAttribute(invoker, receiver, attribute, value)
    }

    private void permitField(Object receiver, String name) {
        Field field = fieldOf(receiver, name)
        if (field == null || !isOwn(field.declaringClass)) { permit("field ${(field?.declaringClass ?: receiver.class).name} $name") }
    }

    private void permit(Object signature) {
        if (!allowed.contains(signature.toString())) { throw reject(signature) }
        used << signature.toString()
    }

    private boolean may(AccessibleObject member, String signature, List<String> tried) {
        boolean permitted = isOwn(((java.lang.reflect.Member) member).declaringClass) || allowed.contains(signature)
        if (!permitted) { tried << signature } else if (allowed.contains(signature)) { used << signature }
        return permitted
    }

    private RejectedAccessException reject(Object signature) {
        rejected << signature.toString()
        return new RejectedAccessException(signature.toString())
    }

    /** Code of the pipeline: Jenkinsfile and vars, compiled at run time. */
    private static boolean isOwn(Class type) { type.classLoader instanceof GroovyClassLoader }

    /** The calls that CpsWhitelist allows besides the lists. */
    private static boolean isCps(Object receiver, String method) {
        (receiver instanceof CpsStepScript && method in ['invokeMethod', 'println', 'print', 'printf', 'evaluate']) ||
            (receiver instanceof EnvActionImpl && method in ['getProperty', 'setProperty']) ||
            (method == 'sleep' && (receiver instanceof CpsClosure2 || receiver instanceof CpsStepScript))
    }

    // Which method Groovy is about to call: the most general type that has it, and there the most specific one

    private static Method methodOf(Object receiver, String name, Object... args) {
        for (Class type in typesOf(receiver.class, new LinkedHashSet<Class>())) {
            Method found = staticMethodOf(type, name, args)
            if (found != null) { return found }
        }
        return receiver instanceof GString ? staticMethodOf(String, name, args) : null
    }

    private static Field fieldOf(Object receiver, String name) {
        List<Field> all = typesOf(receiver.class, new LinkedHashSet<Class>()).collectMany { Class type -> type.declaredFields as List<Field> }
        return all.find { Field one -> one.name == name }
    }

    private static Set<Class> typesOf(Class type, Set<Class> all) {
        if (type.superclass != null) { typesOf(type.superclass, all) }
        for (Class one in type.interfaces) { typesOf(one, all) }
        all << type
        return all
    }

    private static Method staticMethodOf(Class type, String name, Object... args) {
        Method best = null
        for (Method method in type.declaredMethods) {
            if (method.name == name && fits(method.parameterTypes, args, method.varArgs) && (best == null || isCloser(method, best))) { best = method }
        }
        return best
    }

    private static boolean fits(Class[] parameters, Object[] args, boolean open) {
        int fixed = parameters.length - 1
        if (open && args.length >= fixed && !(args.length == parameters.length && parameters[fixed].isInstance(args[fixed]))) {
            return (0..<fixed).every { int i -> accepts(parameters[i], args[i]) } &&
                (fixed..<args.length).every { int i -> accepts(parameters[fixed].componentType, args[i]) }
        }
        return parameters.length == args.length && (0..<args.length).every { int i -> accepts(parameters[i], args[i]) }
    }

    private static boolean accepts(Class type, Object value) {
        if (value == null) { return !type.primitive }
        return wrapper(type).isInstance(value) || (type == String && value instanceof GString) || (type in [long, Long] && value instanceof Integer) ||
            (type in [int, Integer] && value instanceof Long)
    }

    private static Class wrapper(Class type) { type.primitive ? BOXES[type] : type }

    private static final Map<Class, Class> BOXES = [(int): Integer, (long): Long, (boolean): Boolean, (char): Character, (double): Double, (float): Float,
                                                    (byte): Byte, (short): Short, (void): Void] as Map<Class, Class>

    private static boolean isCloser(Method one, Method other) {
        for (int i = 0; i < Math.min(one.parameterTypes.length, other.parameterTypes.length); i++) {
            Class mine = wrapper(one.parameterTypes[i]), theirs = wrapper(other.parameterTypes[i])
            if (mine == theirs) { continue }
            if (theirs.isAssignableFrom(mine)) { return true }
            if (mine.isAssignableFrom(theirs)) { return false }
        }
        return one.toString() > other.toString()
    }

    private static String signature(String kind, Method method) { "$kind ${nameOf(method.declaringClass)} ${method.name}${names(method.parameterTypes)}" }

    private static String names(Class[] types) { types.collect { Class type -> ' ' + nameOf(type) }.join('') }

    static String nameOf(Class type) { type.array ? nameOf(type.componentType) + '[]' : type.name }

    private static String types(Object[] args) { args.collect { Object arg -> ' ' + (arg == null ? 'null' : nameOf(arg.class)) }.join('') }
}

/** Compiles untrusted Groovy. groovy-cps has such a class, too, but for a version of groovy-sandbox that is not on Maven Central. */
class SandboxedTransformer extends CpsTransformer {
    private final SandboxTransformer plain = new SandboxTransformer()
    private ClassCodeExpressionTransformer visitor

    @Override void call(SourceUnit source, GeneratorContext context, ClassNode type) {
        visitor = plain.createVisitor(source, type)
        super.call(source, context, type)
    }

    @Override protected void processConstructors(ClassNode type) { plain.processConstructors(visitor, type) }

    @Override protected void visitNontransformedMethod(MethodNode method) { visitor.visitMethod(method) }

    @Override protected void visitNontransformedField(FieldNode field) { visitor.visitField(field) }

    @Override protected void visitNontransformedStatement(Statement statement) { statement.visit(visitor) }

    @Override protected Class getTrustTag() { Untrusted }
}
