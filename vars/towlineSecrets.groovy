import groovy.json.JsonOutput

/** Secrets travel to the engine as environment variables, not in a file (docs/contract.md, Request). */

/**
 * A copy of `entries` without nulls and secrets.
 *
 * An entry that is secret, or contains a secret, is added to `variables` (NAME=value) instead, and its
 * variable's name to `secrets`.
 */
Map withoutSecrets(Map entries, String place, Map secrets, List variables) {
    Map names = known(libraryResource('towline/secret_names.txt'))
    Map kept = [:]
    for (Object key in entries.keySet()) {
        Object value = plain(entries.get(key))
        if (value != null && isHeld(key, value, false, true, names)) {
            String variable = 'TOWLINE_SECRET_' + (secrets.size() + 1)
            secrets[place + key] = value instanceof String ? variable : [json: variable]
            variables.add(variable + '=' + asVariable(place + key, value instanceof String ? value : JsonOutput.toJson(value)))
        } else if (value != null) {
            kept[key.toString()] = value
        }
    }
    return kept
}

/** A value as JSON has it; any other object, such as a plugin's, becomes its text. */
Object plain(Object value) {
    if (value instanceof Map) {
        Map copy = [:]
        for (Object key in value.keySet()) {
            copy[key.toString()] = plain(value.get(key))
        }
        return copy
    }
    if (value instanceof Collection || value instanceof Object[]) {
        List copy = []
        for (Object item in (value as List)) {
            copy.add(plain(item))
        }
        return copy
    }
    return value == null || value instanceof Number || value instanceof Boolean ? value : value.toString()
}

/**
 * Whether the value of `key` contains a secret text or number.
 *
 * It does if a key above it is secret (`named`), or this key is. `keyed` is false for the keys of a
 * map in which every name may occur (`names.free`): such a key makes no value secret.
 */
boolean isHeld(Object key, Object value, boolean named, boolean keyed, Map names) {
    boolean free = keyed && !named && (value instanceof Map || areIds(value)) && names.free.contains(plainName(key))
    return holdsSecret(value, named || (keyed && !free && isNamed(key, names)), !free, names)
}

/** The same for a plain value: a key inside it is secret, or a URL in it has a password or secret. */
boolean holdsSecret(Object value, boolean named, boolean keyed, Map names) {
    if (value instanceof Map) {
        return value.keySet().any { String key -> isHeld(key, value.get(key), named, keyed, names) }
    }
    if (value instanceof List) {
        return value.any { Object item -> holdsSecret(item, named, true, names) }
    }
    return value != null && value != '' && !(value instanceof Boolean) &&
        (named || value.toString().matches('(?s).*://[^/\\s?#:]*:[^/\\s?#]+@.*') || isInQuery(value.toString(), names))
}

boolean areIds(Object value) {
    return value instanceof List && !value.any { Object item -> !(item instanceof String && item.matches('[A-Za-z0-9_.-]+')) }
}

/**
 * Whether a text has a URL with a query parameter whose name is secret or escaped; the engine decodes
 * the name (secret.py).
 */
boolean isInQuery(String text, Map names) {
    return text.contains('://') && text.split('[?&;]').drop(1).any { String part ->
        part.matches('(?s)[^=#\\s]+=[^#\\s].*') && (part.tokenize('=')[0].contains('%') || isNamed(part.tokenize('=')[0], names))
    }
}

boolean isNamed(Object key, Map names) {
    return plainName(key).matches(names.secret)
}

String plainName(Object key) {
    String name = key.toString()
    return name.substring(name.lastIndexOf('/') + 1).toLowerCase(Locale.ROOT).replaceAll('[^a-z0-9]', '')
}

/**
 * The list of names: `secret` is a pattern of the names of secrets, `free` has the names of maps and
 * lists of ids that are not secret. The engine reads the list in the same way (secret.py).
 */
Map known(String list) {
    Map words = ['': [], '=': [], '-': [], '*': []]
    for (String line in list.readLines()) {
        if (line.matches('[=*-]?[a-z0-9]+')) {
            String sign = line.matches('[a-z0-9]+') ? '' : line.substring(0, 1)
            words.get(sign).add(line.substring(sign.length()))
        }
    }
    String ends = words.get('-').join('|')
    return [secret: '(?!.*(?:' + ends + ')$)(?:.*(?:' + words.get('').join('|') + ').*|' + words.get('=').join('|') + ')', free: words.get('*')]
}

/** The value of a variable; Linux cannot start a program with a variable of more than 128 KiB. */
String asVariable(String name, String text) {
    if (text.getBytes('UTF-8').length > 130000) {
        error('[towline] ' + name + ' contains a secret and is too large for an environment variable; remove values that no step needs')
    }
    return text
}
