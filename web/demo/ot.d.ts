declare const OT: any;
