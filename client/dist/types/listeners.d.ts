// built from client/src and client/demo, sources sha256:2c0d122ce08394e9acdd5a1a56ff8dc206726cf426a1eb8a087310c18732e06f
export type Unsubscribe = () => void;
export declare class Listeners<Arguments extends unknown[]> {
    #private;
    /** The handler's return value is ignored. Answers with a function that takes it off again. */
    add(handler: (...args: Arguments) => void): Unsubscribe;
    emit(...args: Arguments): void;
}
