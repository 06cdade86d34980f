// How a bug gets into code that is loaded already: functions of its classes are replaced, and put back.
import type { Profile } from './sim-nemesis.ts'

/** Puts something into the code. @returns takes it out again */
export type Plant = () => () => void

/** A test that fails as long as the bug is there. */
export type Catcher = {
  /** Below `test/`, without `.test.ts`. */
  readonly file: string
  /** A test at the top of that file. */
  readonly test: string
}

export type PlantedBug = {
  readonly name: string
  /** Where the wrong behaviour is, below `src/`. */
  readonly where: string
  /** Under which the simulated cluster can show it. */
  readonly profile: Profile
  readonly caughtBy: Catcher
  readonly plant: Plant
}

type Of<Target> = { readonly prototype: Target }
/** Of a member of that name. */
type Call<Target, Name extends keyof Target> = Extract<Target[Name], (...given: never[]) => unknown>
type Given<Target, Name extends keyof Target> = Parameters<Call<Target, Name>>
type Answer<Target, Name extends keyof Target> = ReturnType<Call<Target, Name>>

/** Several at once. */
export const all =
  (...plants: readonly Plant[]): Plant =>
  () => {
    const undo = plants.map((plant) => plant())
    return () => {
      for (const each of undo.reverse()) each()
    }
  }

/** Wraps a function of an object, of a class' prototype or of the class itself. */
export const around =
  <Target extends object, Name extends keyof Target>(
    target: Target,
    name: Name,
    make: (
      self: Target,
      original: (...given: Given<Target, Name>) => Answer<Target, Name>,
      ...given: Given<Target, Name>
    ) => Answer<Target, Name>,
  ): Plant =>
  () => {
    const original = target[name] as (...given: Given<Target, Name>) => Answer<Target, Name>
    const wrapped = function (this: Target, ...given: Given<Target, Name>) {
      return make(this, original.bind(this), ...given)
    }
    target[name] = wrapped as Target[Name]
    return () => {
      target[name] = original as Target[Name]
    }
  }

/** The method does something else. */
export const instead = <Target extends object, Name extends keyof Target>(
  { prototype }: Of<Target>,
  name: Name,
  act: (self: Target, ...given: Given<Target, Name>) => Answer<Target, Name>,
): Plant => around(prototype, name, (self, _original, ...given) => act(self, ...given))

/** The method is given something else. */
export const given = <Target extends object, Name extends keyof Target>(
  { prototype }: Of<Target>,
  name: Name,
  change: (self: Target, ...given: Given<Target, Name>) => Readonly<Given<Target, Name>>,
): Plant =>
  around(prototype, name, (self, original, ...before) => {
    const after = change(self, ...before) as Given<Target, Name>
    return original(...after)
  })

/** The property has another value. */
export const getter =
  <Target extends object, Name extends keyof Target & string>(
    { prototype }: Of<Target>,
    name: Name,
    make: (self: Target, original: () => Target[Name]) => Target[Name],
  ): Plant =>
  () => {
    const original = Object.getOwnPropertyDescriptor(prototype, name)
    if (!original?.get) throw new Error(`${name} is no getter`)
    const get = original.get as () => Target[Name]
    Object.defineProperty(prototype, name, {
      ...original,
      get(this: Target) {
        return make(this, () => get.call(this))
      },
    })
    return () => void Object.defineProperty(prototype, name, original)
  }
