// Flags for the Java virtual machines that tests start.
import { tmpdir } from 'node:os'

/**
 * For each of them: no time for the optimizing compiler, and nothing left in the system's temporary folder, which Java
 * takes whatever the environment says and where one that is killed leaves the native libraries it unpacked.
 */
export function jvmFlags(): string[] {
  return ['-XX:TieredStopAtLevel=1', '-XX:-UsePerfData', `-Djava.io.tmpdir=${tmpdir()}`]
}

/** For one that lives for seconds: quiet logs, too, and the classes that are the same for all. */
export function javaArgs(java: { readonly classpath?: string }): string[] {
  return [
    ...jvmFlags(),
    '-XX:+UseSerialGC',
    '-Xshare:auto',
    '-Dorg.slf4j.simpleLogger.defaultLogLevel=error',
    '-cp',
    java.classpath ?? '',
  ]
}
