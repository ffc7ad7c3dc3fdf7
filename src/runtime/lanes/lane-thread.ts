/** The program of a lane's thread. */
import { serveLane } from './serve-lane.ts';

await serveLane();
